"""How sure a mean over prompts is: bootstrap intervals.

Prompts are the units. Prompts that stand or fall together, such as translations of one problem, share a
cluster and are drawn together; which ones do is said by the caller and never guessed.
Dimensions: P prompts, K clusters, G groups of prompts, M measures, R resamples, B resamples at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from nbest.evaluate.confidence import Bools, Estimate, Floats, Ints, exact_share, percentiles

_CHUNK: Final = 4_000_000
"""Numbers held at a time while resampling."""
_FEWEST_WHOLE: Final = 0.05
"""Share of the resamples that must have something of every group: 100 of 2000, for tails of some."""


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
    ch. 8), and takes percentiles, widened for small numbers of units (`confidence.tail`). One unit gives no
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
        clusters_P=units_of(clusters, values_P.size),
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
    num_measures = values_PM.shape[1]
    sums = _Sums(values_PM, known_PM, groups_P, clusters_P, seed=seed, resamples=resamples)
    shares = are_shares or [False] * num_measures
    everything = np.ones(groups_P.size, dtype=bool)
    measures = range(num_measures)
    return Intervals(
        all=[sums.mean(m, everything, is_share=shares[m]) for m in measures],
        groups=[
            [sums.mean(m, groups_P == g, is_share=shares[m], group=g) for m in measures]
            for g in range(sums.num_groups)
        ],
        macro=[sums.macro(m, is_share=shares[m]) for m in measures],
    )


class _Sums:
    """Sums of values and numbers of known ones by group: as they are, and in each of R resamples."""

    def __init__(
        self,
        values_PM: Floats,
        known_PM: Bools,
        groups_P: Ints,
        clusters_P: Ints,
        *,
        seed: int,
        resamples: int,
    ) -> None:
        self._values_PM, self._known_PM = values_PM, known_PM
        self._groups_P, self._clusters_P = groups_P, clusters_P
        self._num_measures = values_PM.shape[1]
        self.num_groups = int(groups_P.max()) + 1
        # Columns: the M sums, then the M counts. One table of clusters for each group.
        counted_PM: Floats = np.hstack([np.where(known_PM, values_PM, 0.0), known_PM.astype(np.float64)])
        tables = [_by_cluster(counted_PM, clusters_P, groups_P == g) for g in range(self.num_groups)]
        self._observed_GM = np.stack([sums_KM.sum(axis=0) for _, sums_KM in tables])
        weights = resampled_clusters(int(clusters_P.max()) + 1, resamples=resamples, seed=seed)
        self._drawn_RGM = np.concatenate(
            [
                np.stack([_drawn(weights_BK, present) @ sums_KM for present, sums_KM in tables], axis=1)
                for weights_BK in weights
            ]
        )
        self._all_observed_M, self._all_drawn_RM = self._observed_GM.sum(axis=0), self._drawn_RGM.sum(axis=1)

    def mean(self, m: int, rows_P: Bools, *, is_share: bool, group: int | None = None) -> Estimate | None:
        """Of measure m over the prompts `rows_P`: those of a group, or all."""
        observed_M, drawn_RM = self._all_observed_M, self._all_drawn_RM
        if group is not None:
            observed_M, drawn_RM = self._observed_GM[group], self._drawn_RGM[:, group]
        count = m + self._num_measures
        known_P = rows_P & self._known_PM[:, m]
        return _estimate(
            _ratio(drawn_RM[:, m], drawn_RM[:, count]),
            _ratio(observed_M[m : m + 1], observed_M[count : count + 1]),
            self._values_PM[known_P, m],
            self._num_clusters(known_P),
            is_share=is_share,
        )

    def macro(self, m: int, *, is_share: bool) -> Estimate | None:
        """Of measure m, the mean of the means of the groups that have it."""
        count = m + self._num_measures
        has = np.flatnonzero(self._observed_GM[:, count] > 0)
        if has.size == 0:
            return None
        means_GR = [_ratio(self._drawn_RGM[:, g, m], self._drawn_RGM[:, g, count]) for g in has]
        whole_R = np.stack([np.where(np.isfinite(x), x, np.nan) for x in means_GR]).mean(axis=0)
        point_G = _ratio(self._observed_GM[has, m], self._observed_GM[has, count])
        known_P = self._known_PM[:, m]
        return _estimate(
            whole_R,
            point_G.mean(keepdims=True),
            self._values_PM[known_P, m],
            self._num_clusters(known_P),
            is_share=is_share,
            fewest_units=min(self._num_clusters(known_P & (self._groups_P == g)) for g in has),
        )

    def _num_clusters(self, rows_P: Bools) -> int:
        return np.unique(self._clusters_P[rows_P]).size


def _by_cluster(counted_PM: Floats, clusters_P: Ints, rows_P: Bools) -> tuple[Ints, Floats]:
    """The clusters that the rows are in, and the sums of each of them."""
    rows = np.flatnonzero(rows_P)
    present, place = np.unique(clusters_P[rows], return_inverse=True)
    sums_KM = np.zeros((present.size, counted_PM.shape[1]))
    np.add.at(sums_KM, place, counted_PM[rows])
    return present, sums_KM


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


def units_of(clusters: Sequence[Hashable] | None, num_prompts: int) -> Ints:
    """The number of each prompt's cluster; without clusters each prompt is its own."""
    if clusters is None:
        return np.arange(num_prompts)
    return codes(clusters)


def codes(keys: Sequence[Hashable]) -> Ints:
    """Equal keys to equal numbers from 0, in order of first appearance."""
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.intp)


def _drawn(weights_BK: Floats, present: Ints) -> Floats:
    if present.size == weights_BK.shape[1]:
        return weights_BK
    return weights_BK[:, present]


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
    if fewest_units is None:
        fewest_units = num_units
    if fewest_units < 2:  # noqa: PLR2004
        return Estimate(value, None, None)
    if is_share and value in {0.0, 1.0} and np.all(values == value):
        return exact_share(value, num_units)

    whole_R = sampled_R[np.isfinite(sampled_R)]
    if whole_R.size < _FEWEST_WHOLE * sampled_R.size:
        return Estimate(value, None, None)
    low, high = percentiles(whole_R, num_units)
    return Estimate(value, low, high)
