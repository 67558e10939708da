"""How good the candidates of a recorded pool are, by any scorer: ground truth, a reference, a recorded field."""

from __future__ import annotations

from typing import cast

from nbest import registry
from nbest.context import Context
from nbest.datasets import Pool
from nbest.errors import InputError
from nbest.protocols import Scorer
from nbest.scoring.oracle import Oracle
from nbest.scoring.reference_oracle import ReferenceOracle
from nbest.types import Candidate, Json, Outcome

CLUSTER = "cluster"
"""The column of a row that says which prompts stand together, where none is named."""
ACCURACY = "oracle"
"""The score that is right or wrong: shown in per cent."""


def split_specs(text: str) -> list[str]:
    """`first, best(recorded(human)), vote` at the commas outside brackets and quotes.

    Empty parts are left out. Raises `InputError` where nothing is left.
    """
    parts, depth, quote = [""], 0, ""
    for ch in text:
        if quote:
            quote = "" if ch == quote else quote
        elif ch in "'\"":
            quote = ch
        else:
            depth += (ch in "([{") - (ch in ")]}")
        if ch == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += ch
    specs = [p.strip() for p in parts if p.strip()]
    if not specs:
        raise InputError("no method is named: write  --select 'first, vote'")
    return specs


def score_spec(given: str | None, pool: Pool) -> str:
    """The scorer that measures answers, as a spec.

    `given` is a scorer, a utility (against the row's `reference`) or the name of a recorded field. Without it:
    `oracle` where `pool` has a gold answer, chrF where it has a reference. Raises `InputError` where it
    has neither.
    """
    if given is None:
        if pool.gold.get("answer") is not None:
            return ACCURACY
        if pool.gold.get("reference") is not None:
            return "reference_oracle(utility=chrf)"
        raise InputError(
            f"prompt {pool.prompt.id!r} has no `answer` and no `reference`: name a recorded field or a scorer"
            f" with  --score{_fields_of(pool)}"
        )
    if registry.names_plugin("scorers", given):
        return registry.spec_of(registry.parse("scorers", given))
    if registry.names_plugin("utilities", given):
        return f"reference_oracle(utility={registry.spec_of(registry.parse('utilities', given))})"
    if any(given in c.meta for c in pool.candidates):
        return registry.spec_of(registry.load("scorers", "recorded")(field=given))
    raise InputError(
        f"--score {given}: no scorer, no utility, and no candidate of prompt {pool.prompt.id!r} has"
        f" such a field{_fields_of(pool)}"
    )


def _fields_of(pool: Pool) -> str:
    fields = sorted({k for c in pool.candidates for k, v in c.meta.items() if isinstance(v, int | float)})
    return f"; its candidates carry: {', '.join(fields)}" if fields else ""


async def scores_of(
    pool: Pool, scorer: Scorer, candidates: tuple[Candidate, ...] | None = None
) -> dict[int, float | None]:
    """Score of each candidate by id (of the pool, or of other `candidates` for its prompt).

    Equal texts are scored once, except by recorded fields. A failed candidate is scored as an empty answer.
    """
    given = pool.candidates if candidates is None else candidates
    ctx = Context({}, prompt_id=pool.prompt.id, gold=pool.gold)
    distinct = {(c.text, _field_key(c, scorer)): c for c in given}
    if not distinct:
        return {}
    scores = await scorer(pool.prompt, list(distinct.values()), ctx)
    by_text = {key: score.value for key, score in zip(distinct, scores, strict=True)}
    return {c.id: by_text[c.text, _field_key(c, scorer)] for c in given}


def _field_key(candidate: Candidate, scorer: Scorer) -> int | str | None:
    """What keeps candidates of equal text apart: ground truth sees the text and its language alone, other
    scorers may see more."""
    return candidate.language if isinstance(scorer, Oracle | ReferenceOracle) else candidate.id


def gold_text(pool: Pool) -> str | None:
    """The row's answer or reference, for a reader; None where it has neither."""
    value: Json = pool.gold.get("answer", pool.gold.get("reference"))
    if isinstance(value, list):
        return "\n".join(str(v) for v in cast("list[Json]", value))
    return None if value is None else str(value)


def pool_of(outcome: Outcome) -> Pool:
    """The pool that an outcome was chosen from, with its row's other columns."""
    return Pool(outcome.prompt, outcome.gold, outcome.candidates)


def cluster_of(pool: Pool, column: str | None) -> str:
    """What the prompt stands together with in intervals: the value of a column of its row.

    Without a name it is the column `cluster` where the row has it, else the prompt stands alone. Raises
    `InputError` for a named column that the row lacks.
    """
    if column and column not in pool.gold:
        raise InputError(f"prompt {pool.prompt.id!r} has no column {column!r} (--cluster) in its row")
    return str(pool.gold.get(column or CLUSTER, pool.prompt.id))
