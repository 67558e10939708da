"""Recorded pools as arrays: for each order of a pool's draws, what is known and what it is worth after each draw.

Dimensions: T trajectories (orders of the draws of prompts), K draws of each, U different votes, C classes of answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nbest.plan.features import Features

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_HASH_SEED: Final = 20_300_101


@dataclass(frozen=True, kw_only=True)
class Trajectories:
    """Draws in the order of arrival, as they would have come one at a time."""

    prompts_T: Ints
    """Number of the prompt, from 0."""
    classes_TK: NDArray[np.int16]
    """Class of each draw's answer, numbered by first arrival; −1 for a draw without an answer."""
    lengths_TK: NDArray[np.float32]
    """Output tokens of each draw."""
    values_TK: NDArray[np.float32]
    """Score of each draw's answer."""
    inputs_T: NDArray[np.float32]
    """Input tokens of one draw."""
    scores_TK: NDArray[np.float32] | None = None
    """Score of each draw by the scorer that a rule reads, NaN for none; None: there is no scorer."""
    wave: int = 1
    """Draws that are made at once; those of a wave arrive in the order of their lengths."""
    tasks_P: tuple[str | None, ...] = ()
    """By number of the prompt, as `languages_P`; empty: not known."""
    languages_P: tuple[str | None, ...] = ()

    @property
    def num_draws(self) -> int:
        """K."""
        return self.classes_TK.shape[1]

    @cached_property
    def tokens(self) -> Floats:
        """Output tokens that are spent if the rule stops at the k-th arrival.

        Draws of a wave run side by side, equally fast: when one arrives, the others have as many tokens as it has, and
        are cancelled.
        """
        tokens_TK = np.cumsum(self.lengths_TK, axis=1, dtype=np.float64)
        for start, end in self._bounds:
            num_open_K = np.arange(end - start - 1, -1, -1)
            tokens_TK[:, start:end] += self.lengths_TK[:, start:end] * num_open_K
        return tokens_TK

    @cached_property
    def latency(self) -> Floats:
        """Output tokens that are waited for until the k-th arrival: the longest draw of each wave, one after the other."""
        latency_TK = self.lengths_TK.astype(np.float64)
        waited_T = np.zeros(latency_TK.shape[0])
        for start, end in self._bounds:
            latency_TK[:, start:end] += waited_T[:, None]
            waited_T = latency_TK[:, end - 1]
        return latency_TK

    @property
    def num_started(self) -> Ints:
        """Draws that are made until the k-th arrival, those under way included."""
        return np.minimum((np.arange(self.num_draws) // self.wave + 1) * self.wave, self.num_draws)

    @property
    def _bounds(self) -> list[tuple[int, int]]:
        """Where each begins and ends."""
        starts = range(0, self.num_draws, self.wave)
        return [(start, min(start + self.wave, self.num_draws)) for start in starts]

    @cached_property
    def votes(self) -> Votes:
        """The votes after each draw."""
        return _votes(self)

    def features(self, t: int, k: int, mean_length: float | None = None) -> Features:
        """What a stopping rule is shown after the first k draws of trajectory t."""
        classes = tuple(None if c < 0 else int(c) for c in self.classes_TK[t, :k])
        lengths = tuple(int(length) for length in self.lengths_TK[t, :k])
        scores: tuple[float | None, ...] = ()
        if self.scores_TK is not None:
            scores = tuple(None if np.isnan(s) else float(s) for s in self.scores_TK[t, :k])
        prompt = int(self.prompts_T[t])
        return Features(
            classes=classes,
            lengths=lengths,
            scores=scores,
            mean_length=mean_length,
            language=next(iter(self.languages_P[prompt : prompt + 1]), None),
            task=next(iter(self.tasks_P[prompt : prompt + 1]), None),
        )

    def select(self, trajectories: Ints | Bools) -> Trajectories:
        """Some of the trajectories."""
        scores = None if self.scores_TK is None else self.scores_TK[trajectories]
        return Trajectories(
            prompts_T=self.prompts_T[trajectories],
            classes_TK=self.classes_TK[trajectories],
            lengths_TK=self.lengths_TK[trajectories],
            values_TK=self.values_TK[trajectories],
            inputs_T=self.inputs_T[trajectories],
            scores_TK=scores,
            wave=self.wave,
            tasks_P=self.tasks_P,
            languages_P=self.languages_P,
        )


@dataclass(frozen=True, kw_only=True)
class PoolArrays:
    """Recorded pools, one row each, before their draws are put into orders. N is the size of the largest pool."""

    classes_PN: NDArray[np.int16]
    """Class of each draw's answer within its pool; −1 for none."""
    lengths_PN: NDArray[np.float32]
    values_PN: NDArray[np.float32]
    inputs_P: NDArray[np.float32]
    sizes_P: Ints
    """Draws of each pool; what is behind them is nothing."""
    is_greedy_PN: Bools
    """Draws at temperature 0: they come first, as in every smaller pool of their sampler."""
    scores_PN: NDArray[np.float32] | None = None
    tasks_P: tuple[str | None, ...] = ()
    languages_P: tuple[str | None, ...] = ()

    @property
    def mean_length(self) -> float:
        """Output tokens of a draw, as the mean over prompts of their means."""
        return float((self.lengths_PN.sum(axis=1, dtype=np.float64) / self.sizes_P).mean())


def in_orders(
    pools: PoolArrays, num_draws: int, *, num_orders: int = 8, wave: int = 1, seed: int = 0
) -> Trajectories:
    """The first `num_draws` draws of each pool in so many random orders, drawn without replacement."""
    rng = np.random.default_rng(seed)
    is_missing_PN = np.arange(pools.classes_PN.shape[1], dtype=np.int64) >= pools.sizes_P[:, None]
    orders: list[Ints] = []
    for _ in range(num_orders):
        keys_PN = rng.random(pools.classes_PN.shape)
        keys_PN[pools.is_greedy_PN] -= 1.0
        keys_PN[is_missing_PN] = 2.0
        orders.append(np.argsort(keys_PN, axis=1)[:, :num_draws])
    places_TK = np.concatenate(orders)
    rows_T = np.tile(np.arange(pools.sizes_P.size), num_orders)[:, None]

    lengths_TK = pools.lengths_PN[rows_T, places_TK]
    if wave > 1:
        places_TK = np.take_along_axis(places_TK, _arrivals(lengths_TK, wave), axis=1)
    scores = None if pools.scores_PN is None else pools.scores_PN[rows_T, places_TK]
    return Trajectories(
        prompts_T=rows_T[:, 0],
        classes_TK=_by_arrival(pools.classes_PN[rows_T, places_TK]),
        lengths_TK=pools.lengths_PN[rows_T, places_TK],
        values_TK=pools.values_PN[rows_T, places_TK],
        inputs_T=pools.inputs_P[rows_T[:, 0]],
        scores_TK=scores,
        wave=wave,
        tasks_P=pools.tasks_P,
        languages_P=pools.languages_P,
    )


def _arrivals(lengths_TK: NDArray[np.float32], wave: int) -> Ints:
    """Places of the draws in the order in which they arrive: within a wave the shortest first."""
    waves_K: Ints = np.arange(lengths_TK.shape[1], dtype=np.int64) // wave
    by_length_TK = np.argsort(lengths_TK, axis=1, kind="stable")
    by_wave_TK = np.argsort(waves_K[by_length_TK], axis=1, kind="stable")
    return np.take_along_axis(by_length_TK, by_wave_TK, axis=1)


def _by_arrival(classes_TK: NDArray[np.int16]) -> NDArray[np.int16]:
    """The classes numbered by first arrival."""
    num, width = classes_TK.shape
    rows: Ints = np.arange(num, dtype=np.int64)
    number_TC = np.full((num, int(classes_TK.max(initial=0)) + 1), -1, dtype=np.int16)
    next_T = np.zeros(num, dtype=np.int16)
    renumbered_TK = np.full((num, width), -1, dtype=np.int16)
    for k in range(width):
        has_answer_T = classes_TK[:, k] >= 0
        known_T = rows[has_answer_T]
        classes = classes_TK[known_T, k]
        is_new = number_TC[known_T, classes] < 0
        number_TC[known_T[is_new], classes[is_new]] = next_T[known_T[is_new]]
        next_T[known_T[is_new]] += 1
        renumbered_TK[known_T, k] = number_TC[known_T, classes]
    return renumbered_TK


@dataclass(frozen=True, kw_only=True)
class Votes:
    """The votes of trajectories after each draw; equal votes are one of U."""

    at_TK: NDArray[np.int32]
    """Which of the U votes it is."""
    counts_UC: Ints
    """Votes of each class, most first, zeros behind."""
    num_draws_U: Ints
    """Draws, those without an answer included."""
    value_TK: NDArray[np.float32]
    """Score of the choice: of the first draw of the leading class; of equal ones the one that came first leads. Without
    a vote, of the first draw."""

    def each(self) -> Iterator[Features]:
        """The U votes as features without lengths."""
        for counts, n in zip(self.counts_UC, self.num_draws_U, strict=True):
            classes = [c for c, votes in enumerate(counts) for _ in range(votes)]
            blanks = [None] * (int(n) - len(classes))
            yield Features(classes=(*classes, *blanks))


def _votes(of: Trajectories) -> Votes:
    """Draw by draw over all trajectories at once.

    Equal votes are found by a sum of random 64-bit numbers, one for each (number of votes, class that has so many): it
    changes by two of them with each vote, and two different votes have the same sum with a chance of 2⁻⁶⁴.
    """
    num, width = of.classes_TK.shape
    num_classes = int(of.classes_TK.max(initial=0)) + 1
    random = np.random.default_rng(_HASH_SEED).integers(0, 1 << 63, size=(2, width + 1), dtype=np.uint64)
    of_votes, of_draws = random
    of_votes[0] = 0

    at_T: Ints = np.arange(num, dtype=np.int64)
    counts_TC = np.zeros((num, num_classes), dtype=np.int16)
    first_value_TC = np.zeros((num, num_classes), dtype=np.float32)
    leader_T = np.full(num, -1, dtype=np.int16)
    most_T = np.zeros(num, dtype=np.int16)
    sum_T = np.zeros(num, dtype=np.uint64)
    sums_TK = np.empty((num, width), dtype=np.uint64)
    value_TK = np.empty((num, width), dtype=np.float32)
    for k in range(width):
        has_answer_T = of.classes_TK[:, k] >= 0
        rows, classes = at_T[has_answer_T], of.classes_TK[has_answer_T, k]
        before = counts_TC[rows, classes]
        counts_TC[rows, classes] = before + 1
        is_new = before == 0
        first_value_TC[rows[is_new], classes[is_new]] = of.values_TK[rows[is_new], k]
        sum_T[rows] += of_votes[before + 1] - of_votes[before]
        sums_TK[:, k] = sum_T + of_draws[k + 1]

        # Classes are numbered by arrival, so that of equal ones the lower number leads.
        leads = (before + 1 > most_T[rows]) | ((before + 1 == most_T[rows]) & (classes < leader_T[rows]))
        leader_T[rows[leads]] = classes[leads]
        most_T[rows] = np.maximum(most_T[rows], before + 1)
        of_leader_T = first_value_TC[at_T, np.maximum(leader_T, 0)]
        value_TK[:, k] = np.where(leader_T >= 0, of_leader_T, of.values_TK[:, 0])

    _, example_U, at_TK = np.unique(sums_TK, return_index=True, return_inverse=True)
    draws_U = example_U % width + 1
    return Votes(
        at_TK=at_TK.reshape(num, width).astype(np.int32),
        counts_UC=_counts(of.classes_TK, example_U // width, draws_U),
        num_draws_U=draws_U,
        value_TK=value_TK,
    )


def _counts(classes_TK: NDArray[np.int16], trajectories_U: Ints, draws_U: Ints) -> Ints:
    """Votes after so many draws of these trajectories, most first."""
    num_classes = int(classes_TK.max(initial=0)) + 1
    counts_UC = np.zeros((trajectories_U.size, num_classes + 1), dtype=np.int64)
    for k in range(int(draws_U.max(initial=0))):
        is_drawn_U = draws_U > k
        rows = np.flatnonzero(is_drawn_U)
        counts_UC[rows, classes_TK[trajectories_U[rows], k]] += 1  # −1 counts in the last column
    return -np.sort(-counts_UC[:, :-1], axis=1)
