"""How good the candidates of a recorded pool are, by any scorer: ground truth, a reference, a recorded field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, cast

from nbest import registry
from nbest.datasets import Pool
from nbest.errors import InputError
from nbest.evaluate.recorded_draws import draws_of
from nbest.evaluate.scoring_engines import ScoringEngines
from nbest.protocols import Scorer
from nbest.scoring.oracle import Oracle
from nbest.scoring.reference_oracle import ReferenceOracle
from nbest.text.grading import GRADERS
from nbest.types import Candidate, Json, Outcome

CLUSTER = "cluster"
"""The column of a row that says which prompts stand together, where none is named."""
ACCURACY = "oracle"
"""The score that is right or wrong: shown in per cent."""


def is_accuracy(spec: str | None) -> bool:
    """Whether a score is right or wrong by the gold answer, with whatever grader."""
    return spec is not None and (spec == ACCURACY or spec.startswith(f"{ACCURACY}("))


_SHARES: Final = frozenset({"line", "word", "truncated", "truncated_draws", "gold_inside"})
"""Measures that are shares of ones among zeros and ones whatever the scorer."""


def is_share(measure: str, spec: str | None) -> bool:
    """Whether a measure is a share of ones among zeros and ones, or the expectation of one."""
    of_right = measure in {"score", "oracle", "greedy"} or "@" in measure
    return measure in _SHARES or (is_accuracy(spec) and of_right)


REFERENCE = "reference_oracle"
"""The score that is a utility against the row's reference."""
_FROM_ZERO: Final = frozenset({"bleu", "chrf", "edit", "token_f1"})
"""Utilities whose lowest value is 0, which an empty text has."""


def split_specs(text: str) -> list[str]:
    """`first, best(recorded(human)), vote` at the commas outside brackets and quotes.

    Empty parts are left out. Raises `InputError` where nothing is left.
    """
    parts, depth, quote = [""], 0, ""
    for ch in text:
        if quote:
            if ch == quote:
                quote = ""
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
        raise InputError(
            "`select` names no selector: write some with commas between them, such as first, vote"
        )
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
            return f"{REFERENCE}(utility=chrf)"
        raise InputError(
            f"prompt {pool.prompt.id!r} has no `answer` and no `reference`: name a recorded field or a scorer"
            f" as `score`{_fields_of(pool)}"
        )
    if given in GRADERS:
        return registry.spec_of(Oracle(grader=given))
    if registry.names_plugin("scorers", given):
        return registry.spec_of(registry.parse("scorers", given))
    if registry.names_plugin("utilities", given):
        return f"{REFERENCE}(utility={registry.spec_of(registry.parse('utilities', given))})"
    if any(given in c.meta for c in pool.candidates):
        return registry.spec_of(registry.load("scorers", "recorded")(field=given))
    raise InputError(
        f"`score` {given}: no scorer, no utility, and no candidate of prompt {pool.prompt.id!r} has"
        f" such a field{_fields_of(pool)}"
    )


def _fields_of(pool: Pool) -> str:
    fields = sorted({k for c in pool.candidates for k, v in c.meta.items() if isinstance(v, int | float)})
    if fields:
        return f"; its candidates carry: {', '.join(fields)}"
    return ""


def lowest_score(scorer: Scorer) -> float | None:
    """The lowest score on the scale of `scorer`: 0 for right or wrong and for utilities that begin at 0.

    None where the scale has no such end, or is not known to have one: rewards, human marks, recorded fields.
    """
    if isinstance(scorer, ReferenceOracle):
        if registry.name_of(type(scorer.utility)) in _FROM_ZERO:
            return 0.0
        return None
    if isinstance(scorer, Oracle):
        return 0.0
    return None


def failed_score(scorer: Scorer, known: Iterable[float | None]) -> float | None:
    """What a failed draw scores, and a prompt that was not answered: the rule for all tables.

    The lowest score there is, where the scale has one (`lowest_score`); else the lowest of `known`, the
    scores of the draws of the same pool that did not fail; None (missing) where there is none either.
    """
    lowest = lowest_score(scorer)
    if lowest is not None:
        return lowest
    return min((score for score in known if score is not None), default=None)


async def scores_of(
    pool: Pool,
    scorer: Scorer,
    candidates: Sequence[Candidate] | None = None,
    *,
    engines: ScoringEngines | None = None,
) -> dict[int, float | None]:
    """Score of each candidate by id (of the pool, or of other `candidates` for its prompt).

    Failed ones have `failed_score`. None where the scorer has no value. Equal texts are scored once by ground
    truth; other scorers may see more of a candidate than its text. `engines` is for scorers that ask a model.
    Raises `CapabilityError` where the prompt's row lacks what the scorer reads, and `MissingEngineError` where
    it needs an engine that is not given.
    """
    given = pool.candidates
    if candidates is not None:
        given = tuple(candidates)
    usable = [c for c in given if c.is_usable]
    scores = await _usable_scores(pool, scorer, usable, engines or ScoringEngines())
    if len(usable) == len(given):
        return scores

    draws = draws_of(given, pool.prompt)
    failed = failed_score(scorer, [scores.get(c.id) for c in draws])
    return {c.id: scores[c.id] if c.is_usable else failed for c in given}


async def _usable_scores(
    pool: Pool, scorer: Scorer, candidates: Sequence[Candidate], engines: ScoringEngines
) -> dict[int, float | None]:
    if not candidates and lowest_score(scorer) is None:
        return {}
    keys = {c.id: _key_of(c, scorer) for c in candidates}
    distinct = {keys[c.id]: c for c in candidates}
    scores = await engines.score(scorer, pool, list(distinct.values()))
    by_key = {key: score.value for key, score in zip(distinct, scores, strict=True)}
    return {c.id: by_key[keys[c.id]] for c in candidates}


def _key_of(candidate: Candidate, scorer: Scorer) -> object:
    """Equal for candidates that have the same score: ground truth reads a text, in its language."""
    if isinstance(scorer, Oracle | ReferenceOracle):
        return candidate.text, candidate.language
    return candidate.id


def gold_text(pool: Pool) -> str | None:
    """The row's answer or reference, for a reader; None where it has neither."""
    value: Json = pool.gold.get("answer", pool.gold.get("reference"))
    if isinstance(value, list):
        return "\n".join(str(v) for v in cast("list[Json]", value))
    if value is None:
        return None
    return str(value)


def pool_of(outcome: Outcome) -> Pool:
    """The pool that an outcome was chosen from, with its row's other columns."""
    return Pool(outcome.prompt, outcome.gold, outcome.candidates)


def cluster_of(pool: Pool, column: str | None) -> str:
    """What the prompt stands together with in intervals: the value of a column of its row.

    Without a name it is the column `cluster` where the row has it, else the prompt stands alone. Raises
    `InputError` for a named column that the row lacks.
    """
    if column and column not in pool.gold:
        raise InputError(f"prompt {pool.prompt.id!r} has no column {column!r} (`cluster`) in its row")
    return str(pool.gold.get(column or CLUSTER, pool.prompt.id))
