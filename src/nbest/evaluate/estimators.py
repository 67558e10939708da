"""What a pool of N recorded candidates says about smaller pools, other choices and perfect ones.

Every function gives one value per prompt, to be averaged by `intervals`. Dimensions: P prompts, N candidates
of each (prompts with pools of one size go together), C candidates of all prompts.
Scores s are what the task awards: 1 or 0 for a right answer, or any number where higher is better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import comb
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nbest.evaluate.confidence import Bools, Estimate, Floats, Ints
from nbest.evaluate.intervals import mean_interval
from nbest.text import grading
from nbest.types import Candidate, Outcome

__all__ = [
    "Estimate",
    "best_at_k",
    "correctness",
    "difficulty_bins",
    "hope",
    "is_right",
    "majority_at_k",
    "max_at_k",
    "mean_interval",
    "num_distinct",
    "pass_at_k",
    "pool_sizes",
    "risk",
    "scores_of_pools",
]

_MAX_EXACT: Final = 20
"""Pools up to this size have their majorities counted out; larger ones are subsampled."""
_SUBSAMPLES: Final = 256
_CHUNK: Final = 8_000_000


def is_right(candidate: Candidate, outcome: Outcome) -> bool:
    """Whether the candidate's final answer is the gold one. Raises `KeyError` without a gold answer."""
    return grading.is_right(candidate, outcome.prompt, outcome.gold)


def correctness(outcomes: Sequence[Outcome]) -> Floats:
    """1 where the chosen answer is right, else 0; shape (num_outcomes,)."""
    return np.array([float(o.selection is not None and is_right(o.selection.winner, o)) for o in outcomes])


def scores_of_pools(outcomes: Sequence[Outcome]) -> list[Floats]:
    """For each outcome, 1 or 0 for each of its candidates, failed ones being 0."""
    return [np.array([float(is_right(c, o)) for c in o.candidates]) for o in outcomes]


def hope(pools: Sequence[Floats], greedy_P: Floats) -> Estimate:
    """Mean over prompts of max_i s(y_i) − s(greedy): what a perfect choice would gain (arXiv 2506.20544)."""
    return mean_interval(np.array([pool.max() for pool in pools]) - greedy_P)


def risk(pools: Sequence[Floats], greedy_P: Floats) -> Estimate:
    """Mean over prompts of min_i s(y_i) − s(greedy): what the worst choice would lose (arXiv 2506.20544)."""
    return mean_interval(np.array([pool.min() for pool in pools]) - greedy_P)


def pool_sizes(num_draws: int) -> list[int]:
    """1, 2, 4, … and all: the k that tables show."""
    powers = {2**i for i in range(num_draws.bit_length())}
    return sorted(powers | {num_draws})


def pass_at_k(num_right_P: Ints | Floats, num_drawn_P: Ints | Floats, k: int) -> Floats:
    """Chance that k draws hold a right one: 1 − C(n−c, k)/C(n, k), unbiased (Chen et al. 2021, eq. 1).

    n draws, c of them right; a product of k ratios, so that no binomial overflows. It supposes draws from
    one distribution. Raises `ValueError` where a pool has fewer than k draws, or k < 1.
    """
    n_P, c_P = np.asarray(num_drawn_P, dtype=np.float64), np.asarray(num_right_P, dtype=np.float64)
    _check_k(k, int(n_P.min()) if n_P.size else k)
    none_P = np.ones(n_P.shape)
    for i in range(k):
        none_P *= np.maximum(0.0, n_P - c_P - i) / (n_P - i)
    return 1.0 - none_P


def max_at_k(scores_PN: Floats, k: int) -> Floats:
    """Expected highest score among k of the N draws: pass@k for scores of any kind."""
    return best_at_k(scores_PN, scores_PN, k)


def best_at_k(scores_PN: Floats, by_PN: Floats, k: int) -> Floats:
    """Expected score of the candidate that `by` ranks highest among k of the N draws: best-of-k.

    Σ_i s_(i) · C(N−i, k−1)/C(N, k), candidates in falling order of `by`; equal ones share their weight.
    Exact over all C(N, k) subsets, and pass@k where `by` is the 0/1 score itself (cf. Nakano et al. 2021,
    app. I). Raises `ValueError` for k outside 1…N.
    """
    num_prompts, n = scores_PN.shape
    _check_k(k, n)
    order = np.argsort(-by_PN, axis=1, kind="stable")
    by, scores = np.take_along_axis(by_PN, order, 1), np.take_along_axis(scores_PN, order, 1)
    i: Floats = np.arange(n - 1, dtype=np.float64)
    weights_N = np.full(n, k / n)
    weights_N[1:] *= np.cumprod(np.maximum(0.0, n - k - i) / (n - 1 - i))
    begins = np.ones((num_prompts, n), dtype=bool)
    begins[:, 1:] = by[:, 1:] != by[:, :-1]
    tie = np.cumsum(begins.ravel()) - 1
    shared = np.bincount(tie, np.tile(weights_N, num_prompts)) / np.bincount(tie)
    return (shared[tie].reshape(num_prompts, n) * scores).sum(axis=1)


def majority_at_k(
    scores_PN: Floats,
    classes_PN: Ints,
    k: int,
    *,
    votes_PN: Bools | None = None,
    seed: int = 0,
) -> Floats:
    """Expected score of the majority answer of k of the N draws (maj@k; Wang et al. 2022, Lewkowycz et al. 2022).

    Draws with the same class in `classes_PN` have the same answer, those False in `votes_PN` have none and
    no vote. Tied classes share; a class scores the mean of its members; subsets without a vote score the mean
    of theirs. Exact for N ≤ 20, k = 1 and k = N; else the mean of 256 subsets per prompt, drawn from `seed`.
    Raises `ValueError` for k outside 1…N.
    """
    num_prompts, n = scores_PN.shape
    _check_k(k, n)
    votes = _votes(classes_PN, votes_PN)
    if k == 1:
        return scores_PN.mean(axis=1)
    rng = np.random.default_rng(seed)
    means = np.zeros(num_prompts)
    step = max(1, _CHUNK // (n * max(n, _SUBSAMPLES)))
    for at in (slice(start, start + step) for start in range(0, num_prompts, step)):
        same = classes_PN[at, :, None] == classes_PN[at, None, :]
        same &= votes[at, :, None] & votes[at, None, :]
        if n <= _MAX_EXACT and k < n:
            means[at] = (_exact_weights(same.sum(axis=2), k) * scores_PN[at]).sum(axis=1)
            continue
        size = same.shape[0]
        if k == n:
            member = np.ones((size, 1, n), dtype=bool)
        else:
            places = rng.random((size, _SUBSAMPLES, n), dtype=np.float32).argpartition(k - 1, axis=2)[..., :k]
            member = np.zeros((size, _SUBSAMPLES, n), dtype=bool)
            np.put_along_axis(member, places, values=True, axis=2)
        counts = np.where(member, member.astype(np.float32) @ same.astype(np.float32), -1)
        top = counts == counts.max(axis=2, keepdims=True)
        means[at] = ((top @ scores_PN[at, :, None])[..., 0] / top.sum(axis=2)).mean(axis=1)
    return means


def num_distinct(classes_PN: Ints, *, votes_PN: Bools | None = None) -> Ints:
    """Number of different answers in each pool; draws without an answer are not counted."""
    votes = _votes(classes_PN, votes_PN)
    lowest = classes_PN.min(initial=0)
    ordered = np.sort(np.where(votes, classes_PN - lowest + 1, 0), axis=1)
    return (np.diff(ordered, axis=1, prepend=0) > 0).sum(axis=1)


def difficulty_bins(pass1_P: Floats, num_bins: int = 5) -> Ints:
    """Bin of each prompt, 0 the easiest, by quantiles of its pass@1 (oracle difficulty; Snell et al. 2024, §3.2).

    Equal values share a bin, that of their mean rank, so that bins may differ in size, and may be empty.
    """
    if pass1_P.size == 0:
        return np.zeros(0, dtype=np.intp)
    _, place, counts = np.unique(-pass1_P, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    return np.minimum(num_bins - 1, (num_bins * middle[place] / pass1_P.size).astype(np.intp))


def _votes(classes_PN: Ints, votes_PN: Bools | None) -> Bools:
    """Which draws have an answer; all, where nothing is said."""
    if votes_PN is None:
        return np.ones(classes_PN.shape, dtype=bool)
    return votes_PN


def _check_k(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k = {k} of pools of {n}")


def _exact_weights(counts_PN: Ints, k: int) -> Floats:
    """What each draw's score counts for in maj@k, from the votes for each draw's answer (0: none)."""
    kinds, kind_of = np.unique(np.sort(counts_PN, axis=1), axis=0, return_inverse=True)
    table = np.zeros((kinds.shape[0], counts_PN.shape[1] + 1))
    for row, votes in enumerate(kinds):
        table[row] = _draw_weights(tuple(int(c) for c in votes), k)
    return table[kind_of.reshape(-1, 1), counts_PN]


@lru_cache(maxsize=8192)
def _draw_weights(votes: tuple[int, ...], k: int) -> NDArray[np.float64]:
    """By number of votes for a draw's answer, the chance that it is the k draws' choice.

    Counts subsets: t of the class, at most t of every other, r others with t; each choice is shared by r + 1.
    """
    n, silent = len(votes), votes.count(0)
    sizes = [c for c in set(votes) if c for _ in range(votes.count(c) // c)]
    weights = np.zeros(n + 1)
    weights[0] = comb(silent, k) / comb(n, k) / silent if silent else 0.0
    for size in set(sizes):
        others = list(sizes)
        others.remove(size)
        won = sum(
            comb(size, t) * ways * comb(silent, k - t - drawn) / (1 + ties)
            for t in range(1, min(size, k) + 1)
            for drawn, ties, ways in _ways(others, t, k - t)
        )
        weights[size] = won / comb(n, k) / size
    return weights


def _ways(sizes: Sequence[int], most: int, total: int) -> Iterator[tuple[int, int, int]]:
    """(drawn, classes with `most`, ways) of drawing at most `total` from classes, at most `most` of each."""
    ways = {(0, 0): 1}
    for size in sizes:
        grown: dict[tuple[int, int], int] = {}
        for (drawn, ties), count in ways.items():
            for t in range(min(size, most, total - drawn) + 1):
                key = (drawn + t, ties + (t == most))
                grown[key] = grown.get(key, 0) + count * comb(size, t)
        ways = grown
    for (drawn, ties), count in ways.items():
        yield drawn, ties, count
