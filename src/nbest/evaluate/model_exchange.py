"""`nbest plan exchange`: a small model that votes, against one answer of a larger model for the same FLOPs or money.

As in arXiv 2408.03314, §7, per difficulty bin and per language, from recorded pools of both models for the same prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbest.datasets import Pool
from nbest.errors import InputError
from nbest.evaluate.confidence import Estimate
from nbest.evaluate.intervals import Floats, mean_interval
from nbest.evaluate.pool_arrays import RecordedPools, read_arrays
from nbest.plan.exchange import affordable_draws
from nbest.plan.trajectories import Bools, Ints, PoolArrays, in_orders
from nbest.protocols import Scorer

_NUM_ORDERS = 16
_EASY, _HARD = 0.5, 0.1
"""Bounds of the bins: share of the small model's draws that are right (arXiv 2502.06703)."""


class ExchangeRow(NamedTuple):
    """One group of prompts at one exchange rate."""

    rate: str
    """Of what the multiplier is: `R = 0.16`, or prices."""
    multiplier: float
    group: str
    """all, easy, medium, hard, or a language."""
    num_prompts: int
    draws: int
    """Draws of the small model that are voted on: those that it can pay for, as far as they are recorded."""
    affordable: int
    small: Estimate | None
    """Score of the majority; None where not one draw can be paid for."""
    large: Estimate
    difference: Estimate | None
    """Small less large, paired by prompt."""


async def read_pair(
    small: Iterable[Pool], large: Iterable[Pool], scorer: Scorer, *, cluster: str | None = None
) -> tuple[RecordedPools, RecordedPools]:
    """The pools of both models for their common prompts (the same `id`), in one order. Raises `InputError` without any."""
    large_by_id = {pool.prompt.id: pool for pool in large}
    both = [(pool, large_by_id[pool.prompt.id]) for pool in small if pool.prompt.id in large_by_id]
    if not both:
        raise InputError("the models have no prompt in common: prompts are the same where their `id` is")
    of_small = await read_arrays([pair[0] for pair in both], scorer, num_draws=2, cluster=cluster)
    of_large = await read_arrays([pair[1] for pair in both], scorer, cluster=cluster)
    if len(of_small.clusters) != len(both) or len(of_large.clusters) != len(both):
        raise InputError("each common prompt needs a score for each draw, and two draws of the small model")
    return of_small, of_large


def exchange_rows(
    small: RecordedPools,
    large: RecordedPools,
    multiplier_by_rate: dict[str, float],
    *,
    seed: int = 0,
) -> list[ExchangeRow]:
    """Rows for each rate: all prompts, then bins, then languages where there are several.

    The larger model gives its greedy answer, or where none is recorded its mean draw. Bins are by one half of
    the small model's draws, and votes are of the other half, so that luck in one is not luck in the other.
    """
    width = int(small.arrays.sizes_P.min())
    voting, binning = _halves(small.arrays, width)
    orders = in_orders(voting, voting.classes_PN.shape[1], num_orders=_NUM_ORDERS, seed=seed)
    value_TK = orders.votes.value_TK.reshape(_NUM_ORDERS, -1, voting.classes_PN.shape[1])
    value_PK: Floats = value_TK.mean(axis=0, dtype=np.float64)
    large_P = _one_answer(large.arrays)
    groups = _groups(binning.values_PN.mean(axis=1, dtype=np.float64), small.arrays.languages_P)

    rows: list[ExchangeRow] = []
    for rate, multiplier in multiplier_by_rate.items():
        affordable = affordable_draws(multiplier, large.arrays.mean_length, small.arrays.mean_length)
        for name, is_in_P in groups:
            clusters = [cluster for cluster, is_in in zip(small.clusters, is_in_P, strict=True) if is_in]
            rows.append(
                _row(rate, multiplier, name, affordable, value_PK[is_in_P], large_P[is_in_P], clusters)
            )
    return rows


def _row(
    rate: str,
    multiplier: float,
    name: str,
    affordable: int,
    value_PK: Floats,
    large_P: Floats,
    clusters: Sequence[str],
) -> ExchangeRow:
    draws = min(affordable, value_PK.shape[1])
    of_small: Estimate | None = None
    difference: Estimate | None = None
    if draws:
        small_P = value_PK[:, draws - 1]
        of_small = mean_interval(small_P, clusters=clusters)
        difference = mean_interval(small_P - large_P, clusters=clusters)
    of_large = mean_interval(large_P, clusters=clusters)
    return ExchangeRow(
        rate, multiplier, name, large_P.size, draws, affordable, of_small, of_large, difference
    )


def _halves(arrays: PoolArrays, width: int) -> tuple[PoolArrays, PoolArrays]:
    """Draws 0, 2, 4, … and draws 1, 3, 5, … of the first `width`."""
    halves: list[PoolArrays] = []
    for start in (0, 1):
        part = slice(start, width, 2)
        classes_PN = arrays.classes_PN[:, part]
        halves.append(
            replace(
                arrays,
                classes_PN=classes_PN,
                lengths_PN=arrays.lengths_PN[:, part],
                values_PN=arrays.values_PN[:, part],
                is_greedy_PN=arrays.is_greedy_PN[:, part],
                sizes_P=np.full(classes_PN.shape[0], classes_PN.shape[1], dtype=np.int64),
            )
        )
    return halves[0], halves[1]


def _one_answer(arrays: PoolArrays) -> Floats:
    """Score of the greedy draw of each pool; the mean of its draws where it has none."""
    num_draws = arrays.classes_PN.shape[1]
    is_used_PN: Bools = np.arange(num_draws, dtype=np.int64) < arrays.sizes_P[:, None]
    num_greedy_P: Ints = arrays.is_greedy_PN.sum(axis=1)
    has_greedy_P = num_greedy_P > 0
    is_used_PN[has_greedy_P] = arrays.is_greedy_PN[has_greedy_P]
    num_used_P: Ints = is_used_PN.sum(axis=1)
    return (arrays.values_PN * is_used_PN).sum(axis=1, dtype=np.float64) / num_used_P


def _groups(share_P: Floats, languages: Sequence[str | None]) -> list[tuple[str, NDArray[Any]]]:
    """All prompts, bins by the share of right draws, and languages; those without a prompt are left out."""
    is_easy_P, is_hard_P = share_P >= _EASY, share_P < _HARD
    groups: list[tuple[str, NDArray[Any]]] = [
        ("all", np.ones(share_P.size, dtype=np.bool_)),
        ("easy", is_easy_P),
        ("medium", ~is_easy_P & ~is_hard_P),
        ("hard", is_hard_P),
    ]
    known = sorted({language for language in languages if language})
    if len(known) > 1:
        groups += [(language, np.array([each == language for each in languages])) for language in known]
    return [(name, is_in_P) for name, is_in_P in groups if is_in_P.any()]
