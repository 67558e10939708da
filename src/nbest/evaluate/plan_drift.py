"""Whether the prompts of a run are as difficult as those that its plan was fitted on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, cast

from nbest.errors import InputError
from nbest.plan.plan_file import Plan
from nbest.records import read_outcomes
from nbest.strategies.planned import drifted_bin


def drift_in(run: Path | str, plan: Plan) -> str:
    """One sentence. Raises `InputError` where no prompt of the run was answered by a plan."""
    num_by_bin: Counter[int] = Counter()
    for outcome in read_outcomes(run):
        if outcome.selection is None:
            continue
        told = cast("dict[str, Any] | None", outcome.selection.details.get("plan"))
        if told is not None:
            num_by_bin[told["bin"]] += 1
    if not num_by_bin:
        raise InputError(f"{run}: no prompt was answered by a plan")
    shares = ", ".join(
        f"{num_by_bin[b + 1] / num_by_bin.total():.0%}" for b in range(plan.difficulty.num_bins)
    )
    found = drifted_bin(plan, num_by_bin)
    if found is None:
        found = "no drift that can be told from chance"
    return f"{num_by_bin.total()} prompts, by bin {shares}: {found}"
