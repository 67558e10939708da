"""How sure a mean over prompts is: bootstrap intervals.

Prompts are the units. Prompts that stand or fall together, such as translations of one problem, share a
cluster and are drawn together; which ones do is said by the caller and never guessed.
Dimensions: P prompts, K clusters, G groups of prompts, M measures, R resamples, B resamples at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

LEVEL: Final = 0.95
_CHUNK: Final = 4_000_000
"""Numbers held at a time while resampling."""
_FEWEST_WHOLE: Final = 0.05
"""Share of the resamples that must have something of every group: 100 of 2000, for tails of some."""
_special = cast("Any", special)


class Estimate(NamedTuple):
    """A value with its 95 % confidence interval; `low` and `high` are None where it cannot be told."""

    value: float
    low: float | None
    high: float | None

    def text(self, number: Callable[[float], str]) -> str:
        """`12.3 [10.1, 14.5]`; the value alone where there is no interval."""
        if self.low is None or self.high is None:
            return number(self.value)
        return f"{number(self.value)} [{number(self.low)}, {number(self.high)}]"


def mean_interval(
    values_P: Floats,
    *,
    clusters: Sequence[Hashable] | None = None,
    is_share: bool = False,
    seed: int = 0,
    resamples: int = 2000,
) -> Estimate:
    """Mean over P prompts with its bootstrap interval; of paired differences, the paired bootstrap.

    Resamples prompts, or whole clusters where `clusters` names one per prompt (Efron & Tibshirani 1993,
    ch. 8), and takes percentiles, widened for small numbers of units (`tail`). One unit gives no
    interval, and equal values one without width, unless they are shares of a whole (`is_share`) that are all 0
    or all 1: then it is Clopper & Pearson's (1934) for K trials.
    Raises `ValueError` for no values.
    """
    if values_P.size == 0:
        raise ValueError("no values to average")
    cells = group_intervals(
        values_P[:, None],
        np.ones((values_P.size, 1), dtype=bool),
        groups_P=np.zeros(values_P.size, dtype=np.intp),
        clusters_P=codes(clusters) if clusters is not None else np.arange(values_P.size),
        are_shares=[is_share],
        seed=seed,
        resamples=resamples,
    )
    found = cells.all[0]
    assert found is not None
    return found


class Intervals(NamedTuple):
    """Estimates of M measures: over all prompts, in each of G groups, and the mean of the groups' means.

    None where nothing is known. The mean of the groups' means has no interval where one of them is of a single
    cluster, whose own spread nobody knows, or where hardly a resample has all groups.
    """

    all: list[Estimate | None]
    groups: list[list[Estimate | None]]
    macro: list[Estimate | None]


def group_intervals(
    values_PM: Floats,
    known_PM: Bools,
    *,
    groups_P: Ints,
    clusters_P: Ints,
    are_shares: Sequence[bool] | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> Intervals:
    """Means of M measures over all prompts, per group and macro-averaged, from the same resamples.

    A value that is not known takes no part. Groups and clusters are numbered from 0; a cluster may have
    prompts in several groups (one problem in many languages), and is then drawn in all of them at once.
    `are_shares` says which measures are (see `mean_interval`).
    """
    num_groups = int(groups_P.max()) + 1
    counted_PM = np.concatenate([np.where(known_PM, values_PM, 0.0), known_PM], axis=1)
    parts: list[tuple[Ints, Floats]] = []
    for g in range(num_groups):
        rows = np.flatnonzero(groups_P == g)
        present, place = np.unique(clusters_P[rows], return_inverse=True)
        sums = np.zeros((present.size, counted_PM.shape[1]))
        np.add.at(sums, place, counted_PM[rows])
        parts.append((present, sums))
    num_measures = values_PM.shape[1]
    shares = are_shares or [False] * num_measures
    totals_RGM = np.concatenate(
        [
            np.stack([_drawn(weights_BK, present) @ sums for present, sums in parts], axis=1)
            for weights_BK in resampled_clusters(int(clusters_P.max()) + 1, resamples=resamples, seed=seed)
        ]
    )
    observed_GM = np.stack([sums.sum(axis=0) for _, sums in parts])

    def estimates(sampled_RM: Floats, point_M: Floats, rows_P: Bools) -> list[Estimate | None]:
        return [
            _estimate(
                _ratio(sampled_RM[:, m], sampled_RM[:, m + num_measures]),
                _ratio(point_M[m : m + 1], point_M[m + num_measures :][:1]),
                values_PM[rows_P & known_PM[:, m], m],
                np.unique(clusters_P[rows_P & known_PM[:, m]]).size,
                is_share=shares[m],
            )
            for m in range(num_measures)
        ]

    everything = np.ones(groups_P.size, dtype=bool)
    macro: list[Estimate | None] = []
    for m in range(num_measures):
        has = observed_GM[:, m + num_measures] > 0
        means = [_ratio(totals_RGM[:, g, m], totals_RGM[:, g, m + num_measures]) for g in np.flatnonzero(has)]
        whole = np.stack([np.where(np.isfinite(x), x, np.nan) for x in means]).mean(axis=0) if means else None
        point = _ratio(observed_GM[has, m], observed_GM[has, m + num_measures])
        known = known_PM[:, m]
        macro.append(
            None
            if whole is None
            else _estimate(
                whole,
                point.mean(keepdims=True),
                values_PM[known, m],
                np.unique(clusters_P[known]).size,
                is_share=shares[m],
                fewest_units=min(
                    np.unique(clusters_P[known & (groups_P == g)]).size for g in np.flatnonzero(has)
                ),
            )
        )
    return Intervals(
        all=estimates(totals_RGM.sum(axis=1), observed_GM.sum(axis=0), everything),
        groups=[estimates(totals_RGM[:, g], observed_GM[g], groups_P == g) for g in range(num_groups)],
        macro=macro,
    )


def resampled_clusters(num_clusters: int, *, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each of K clusters is drawn, in chunks B×K; the same for the same seed."""
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // num_clusters)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn_BK = rng.integers(num_clusters, size=(size, num_clusters))
        drawn_BK += np.arange(size)[:, None] * num_clusters
        yield (
            np.bincount(drawn_BK.ravel(), minlength=size * num_clusters)
            .reshape(size, num_clusters)
            .astype(np.float64)
        )


def tail(num_units: int) -> float:
    """Share of resampled means to cut off at each end.

    A bootstrap mean varies by σ√((K−1)/K) and knows nothing of t: percentiles of few units are too narrow.
    The "expanded percentile" interval takes Φ(−√(K/(K−1)) · t(0.975, K−1)) instead of 0.025
    (Hesterberg 2015, What Teachers Should Know About the Bootstrap); 0.0211 at K = 50.
    """
    if num_units < 2:  # noqa: PLR2004
        return (1 - LEVEL) / 2
    t = float(_special.stdtrit(num_units - 1, (1 + LEVEL) / 2))
    return float(_special.ndtr(-np.sqrt(num_units / (num_units - 1)) * t))


def codes(keys: Sequence[Hashable]) -> Ints:
    """Equal keys to equal numbers from 0, in order of first appearance."""
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.intp)


def _drawn(weights_BK: Floats, present: Ints) -> Floats:
    return weights_BK if present.size == weights_BK.shape[1] else weights_BK[:, present]


def _ratio(sums: Floats, counts: Floats) -> Floats:
    """Means; infinity, which stays inside this module, where a resample has nothing of a group."""
    return np.divide(sums, counts, out=np.full(sums.shape, np.inf), where=counts > 0)


def _estimate(
    sampled_R: Floats,
    point: Floats,
    values: Floats,
    num_units: int,
    *,
    is_share: bool,
    fewest_units: int | None = None,
) -> Estimate | None:
    """`fewest_units`: of any of the groups that the value is a mean of, where it is one of groups."""
    if values.size == 0:
        return None
    value = float(point[0])
    if (num_units if fewest_units is None else fewest_units) < 2:  # noqa: PLR2004
        return Estimate(value, None, None)
    if is_share and value in {0.0, 1.0} and np.all(values == value):
        bound = ((1 - LEVEL) / 2) ** (1 / num_units)
        return Estimate(value, bound if value else 0.0, 1.0 if value else 1 - bound)
    cut = tail(num_units)
    whole_R = sampled_R[np.isfinite(sampled_R)]
    if whole_R.size < _FEWEST_WHOLE * sampled_R.size:
        return Estimate(value, None, None)
    low, high = np.quantile(whole_R, [cut, 1 - cut])
    return Estimate(value, float(low), float(high))
