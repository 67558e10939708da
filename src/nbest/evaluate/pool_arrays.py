"""Recorded pools as arrays, for rules that are replayed and fitted on many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from nbest.datasets import Pool
from nbest.errors import CapabilityError, InputError
from nbest.evaluate.recorded_draws import draws_of, is_greedy
from nbest.evaluate.scores import cluster_of, scores_of
from nbest.evaluate.scoring_engines import ScoringEngines
from nbest.plan.trajectories import PoolArrays
from nbest.protocols import Scorer
from nbest.text.answer_classes import keys_of
from nbest.types import Candidate

_MAX_DRAWS: Final = 1 << 12
"""Of one prompt; a row of arrays is as wide as the widest pool."""


class RecordedPools(NamedTuple):
    """The pools that can be used, and how many cannot."""

    arrays: PoolArrays
    ids: list[str]
    """Of the prompts."""
    clusters: list[str]
    """Of each prompt, what it stands together with in intervals."""
    num_too_small: int
    """Pools with fewer draws than were asked for."""
    num_unscored: int
    """Pools of prompts without a gold answer or reference, or with a draw without a score."""
    num_without_length: int
    """Draws whose tokens were not recorded: each counts as its prompt's mean draw."""


class _Row(NamedTuple):
    classes: list[int]
    lengths: list[int]
    values: list[float]
    scores: list[float] | None
    num_input: int
    greedy: list[bool]


async def read_arrays(
    pools: Iterable[Pool],
    scorer: Scorer,
    *,
    num_draws: int | None = None,
    rule_scorer: Scorer | None = None,
    cluster: str | None = None,
    engines: ScoringEngines | None = None,
    on_prompt: Callable[[], object] = lambda: None,
) -> RecordedPools:
    """Whole answers drawn for each prompt (`draws_of`): their classes, lengths, and scores by `scorer`.

    Pools with fewer than `num_draws` draws are left out. `rule_scorer` is what a stopping rule reads; `engines` is for scorers that ask a model. Draws that failed
    or have no answer are in no class. Raises `InputError` where no pool is left, and `CapabilityError` where a record
    lacks what `rule_scorer` reads.
    """
    rows: list[_Row] = []
    ids: list[str] = []
    clusters: list[str] = []
    tasks: list[str | None] = []
    languages: list[str | None] = []
    num_pools = num_too_small = 0
    for pool in pools:
        num_pools += 1
        draws = draws_of(pool.candidates, pool.prompt)[:_MAX_DRAWS]
        if len(draws) < (num_draws or 1):
            num_too_small += 1
            continue
        row = await _row(pool, draws, scorer, rule_scorer, engines)
        if row is not None:
            rows.append(row)
            ids.append(pool.prompt.id)
            clusters.append(cluster_of(pool, cluster))
            tasks.append(pool.prompt.task)
            languages.append(pool.prompt.language)
        on_prompt()

    num_unscored = num_pools - num_too_small - len(rows)
    if not rows:
        raise InputError(
            f"no pool to replay: of {num_pools}, {num_too_small} have fewer than {num_draws or 1} draws, and"
            f" {num_unscored} have no score for each of them"
        )
    arrays, num_without_length = _arrays(rows, tuple(tasks), tuple(languages))
    return RecordedPools(arrays, ids, clusters, num_too_small, num_unscored, num_without_length)


async def _row(
    pool: Pool,
    draws: Sequence[Candidate],
    scorer: Scorer,
    rule_scorer: Scorer | None,
    engines: ScoringEngines | None,
) -> _Row | None:
    """None where a draw has no score."""
    try:
        value_by_id = await scores_of(pool, scorer, draws, engines=engines)
    except CapabilityError:  # the prompt's row lacks what the scorer reads
        return None
    values = [value_by_id[c.id] for c in draws]
    if None in values:
        return None

    scores: list[float] | None = None
    if rule_scorer is not None:
        score_by_id = await scores_of(pool, rule_scorer, draws, engines=engines)
        scores = [_score(score_by_id[c.id], is_usable=c.is_usable) for c in draws]
    return _Row(
        classes=_classes(pool, draws),
        lengths=[c.usage.completion for c in draws],
        values=cast("list[float]", values),
        scores=scores,
        num_input=max(c.usage.prompt for c in draws),
        greedy=[is_greedy(c) for c in draws],
    )


def _score(score: float | None, *, is_usable: bool) -> float:
    """NaN for none, and for a failed draw, which no rule sees a score of."""
    if score is None or not is_usable:
        return float("nan")
    return score


def _classes(pool: Pool, draws: Sequence[Candidate]) -> list[int]:
    """Numbers of answer classes; -1 for none. Where an answer is ambiguous, the whole pool settles what it means."""
    keys = keys_of(draws, pool.prompt, None)
    number_by_key: dict[str, int] = {}
    numbers: list[int] = []
    for draw, key in zip(draws, keys, strict=True):
        if key is None or not draw.is_usable:
            numbers.append(-1)
            continue
        numbers.append(number_by_key.setdefault(key, len(number_by_key)))
    return numbers


def _arrays(
    rows: Sequence[_Row], tasks: tuple[str | None, ...], languages: tuple[str | None, ...]
) -> tuple[PoolArrays, int]:
    """All rows as arrays, and how many draws had no length."""
    sizes_P = np.array([len(row.classes) for row in rows])
    shape = (len(rows), int(sizes_P.max()))
    classes_PN = np.full(shape, -1, dtype=np.int16)
    lengths_PN = np.zeros(shape, dtype=np.float32)
    values_PN = np.zeros(shape, dtype=np.float32)
    is_greedy_PN = np.zeros(shape, dtype=np.bool_)
    has_scores = any(row.scores is not None for row in rows)
    scores_PN = np.full(shape, np.nan, dtype=np.float32) if has_scores else None
    for p, row in enumerate(rows):
        size = sizes_P[p]
        classes_PN[p, :size] = row.classes
        lengths_PN[p, :size] = row.lengths
        values_PN[p, :size] = row.values
        is_greedy_PN[p, :size] = row.greedy
        if scores_PN is not None:
            scores_PN[p, :size] = row.scores

    is_there_PN = np.arange(shape[1]) < sizes_P[:, None]
    num_without_length = _fill_lengths(lengths_PN, is_there_PN)
    arrays = PoolArrays(
        classes_PN=classes_PN,
        lengths_PN=lengths_PN,
        values_PN=values_PN,
        inputs_P=np.array([row.num_input for row in rows], dtype=np.float32),
        sizes_P=sizes_P,
        is_greedy_PN=is_greedy_PN,
        scores_PN=scores_PN,
        tasks_P=tasks,
        languages_P=languages,
    )
    return arrays, num_without_length


def _fill_lengths(lengths_PN: NDArray[np.float32], is_there_PN: NDArray[np.bool_]) -> int:
    """Gives draws without a length the mean of their prompt's, else of all; 1 where no draw has any.

    Returns how many there were.
    """
    is_known_PN = lengths_PN > 0
    num_known_P = is_known_PN.sum(axis=1)
    sum_P = lengths_PN.sum(axis=1, dtype=np.float64)
    mean_of_all = 1.0
    if num_known_P.any():
        mean_of_all = float(sum_P.sum() / num_known_P.sum())
    mean_P = np.where(num_known_P > 0, sum_P / np.maximum(1, num_known_P), mean_of_all)
    is_filled_PN = is_there_PN & ~is_known_PN
    lengths_PN[is_filled_PN] = np.broadcast_to(mean_P[:, None], lengths_PN.shape)[is_filled_PN]
    return int(is_filled_PN.sum())
