"""Whether a difference may be chance: the paired permutation test, and a correction for many tests.

Dimensions: P prompts, K clusters (see `intervals`), U distinct sizes of a difference, R sign patterns.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbest.evaluate.confidence import Floats
from nbest.evaluate.intervals import mean_interval, units_of

_CHUNK: Final = 4_000_000
"""Signs held at a time."""
_MAX_EXACT_FLIPS: Final = 13
_MAX_DISTINCT: Final = 64
_TOLERANCE: Final = 1e-12


class Difference(NamedTuple):
    """A paired difference of means, its 95 % interval, and the p-value of "no difference"."""

    value: float
    low: float | None
    """None, as `high`, where the prompts are one cluster."""
    high: float | None
    p: float


def paired_difference(
    ours_P: Floats,
    theirs_P: Floats,
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> Difference:
    """Mean of ours − theirs over the same P prompts: paired bootstrap interval, sign-flip p-value.

    Raises `ValueError` for no values or different numbers of them.
    """
    if ours_P.shape != theirs_P.shape:
        raise ValueError(f"not paired: {ours_P.size} values and {theirs_P.size}")
    differences_P = ours_P - theirs_P
    at = mean_interval(differences_P, clusters=clusters, seed=seed, resamples=resamples)
    return Difference(*at, sign_flip_test(differences_P, clusters=clusters, seed=seed))


def sign_flip_test(
    differences_P: Floats,
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    flips: int = 9999,
) -> float:
    """Two-sided p-value of the paired permutation test: a cluster's difference may as well have the other sign.

    p = share of sign patterns with |Σ ±d_k| ≥ |Σ d_k| (Fisher 1935; Good 2005, §3.2). All patterns where at
    most 13 clusters differ, else `flips` drawn ones, the observed one counted among them (Phipson & Smyth
    2010), so that p is never 0. 1 where nothing differs or there is nothing.
    """
    if differences_P.size == 0:
        return 1.0
    at = units_of(clusters, differences_P.size)
    sums_K = np.abs(np.bincount(at, weights=differences_P))
    sums_K = sums_K[sums_K > _TOLERANCE]
    seen = abs(float(differences_P.sum())) * (1 - _TOLERANCE) - _TOLERANCE
    if sums_K.size == 0:
        return 1.0
    if sums_K.size <= _MAX_EXACT_FLIPS:
        patterns: NDArray[np.intp] = np.arange(2**sums_K.size, dtype=np.intp)[:, None]
        bits = patterns >> np.arange(sums_K.size) & 1
        return float(np.mean(np.abs((1 - 2 * bits) @ sums_K) >= seen))
    rng = np.random.default_rng(seed)
    flipped_R = np.concatenate(list(_flipped(sums_K, flips, rng)))
    return float((1 + np.sum(np.abs(flipped_R) >= seen)) / (1 + flips))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a table of tests, in the same order (Holm 1979).

    Rejecting where the adjusted value is ≤ α keeps the chance of any false claim in the table ≤ α. The i-th
    smallest of m becomes max over j ≤ i of (m − j + 1) · p_(j), at most 1.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _flipped(sums_K: Floats, flips: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Sums under random signs; equal sizes are flipped together, as binomial counts."""
    sizes_U, counts_U = np.unique(sums_K, return_counts=True)
    if sizes_U.size <= _MAX_DISTINCT:
        yield (2 * rng.binomial(counts_U, 0.5, size=(flips, sizes_U.size)) - counts_U) @ sizes_U
        return
    step = max(1, _CHUNK // sums_K.size)
    for start in range(0, flips, step):
        size = min(step, flips - start)
        packed = rng.integers(256, size=(size, -(-sums_K.size // 8)), dtype=np.uint8)
        bits: NDArray[np.uint8] = np.unpackbits(packed, axis=1, count=sums_K.size)
        yield 2 * (bits @ sums_K) - sums_K.sum()
