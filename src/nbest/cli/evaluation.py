"""`nbest eval`: from flags to a table."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from nbest import registry
from nbest.accounting.price_list import costs_of
from nbest.evaluate.runs import Measured, measured
from nbest.evaluate.summary import By, evaluate
from nbest.evaluate.tables import PLAIN_WIDTH, show

_LARGE: Final = 50 << 20
"""Bytes of records from which on several processes read them."""
_MOST_PROCESSES: Final = 8


def evaluate_runs(
    runs: Sequence[Path],
    *,
    by: By,
    score: str | None,
    task: str | None,
    cluster: str | None,
    params: Sequence[str],
    prices: Sequence[str],
    seed: int,
    as_json: bool,
) -> None:
    """Reads, sums up, prints. Raises `NbestError` for what the user can mend."""
    costs = costs_of(params, prices)
    items = registry.parse("tasks", task) if task else None
    gold = {prompt.id: gold for prompt, gold in items.items()} if items else None
    err = Console(stderr=True, highlight=False)
    with err.status("reading") as status:
        found: list[Measured] = []
        for run in runs:
            status.update(f"reading {run}")
            found.append(
                measured(
                    run,
                    scorer=score or (items.score if items else None),
                    costs=costs,
                    cluster=cluster,
                    gold_by_id=gold,
                    processes=_processes(run),
                )
            )
        status.update("resampling")
        evaluation = evaluate(found, by=by, seed=seed)
    if as_json:
        sys.stdout.write(msgspec.json.encode(evaluation).decode() + "\n")
    else:
        console = Console(highlight=False)
        show(evaluation, console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH))


def _processes(run: Path) -> int:
    """One for what is read within seconds, else as many as this process may use."""
    size = sum(shard.stat().st_size for shard in run.glob("outcomes-*.jsonl"))
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if size < _LARGE else min(cpus, _MOST_PROCESSES)
