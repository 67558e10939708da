"""Shares of points with their intervals."""

from __future__ import annotations

import numpy as np

from nbest.evaluate.intervals import LEVEL, Estimate, Floats, tail


def share_estimate(value: float, sampled_R: Floats, num_clusters: int) -> Estimate:
    """A share of points with its expanded-percentile interval from R resamples of clusters.

    Where every cluster says 0 or every cluster says 1: Clopper & Pearson's bound for that many trials. One
    cluster says nothing about others: from 0 to 1.
    """
    if value in {0.0, 1.0} and num_clusters > 0:
        bound = ((1 - LEVEL) / 2) ** (1 / num_clusters)
        return Estimate(value, 0.0, 1 - bound) if value == 0 else Estimate(value, bound, 1.0)
    if num_clusters < 2:  # noqa: PLR2004
        return Estimate(value, 0.0, 1.0)
    low, high = percentiles(sampled_R, num_clusters)
    return Estimate(value, low, high)


def percentiles(sampled_R: Floats, num_clusters: int) -> tuple[float, float]:
    """The ends of the expanded-percentile interval (`tail`)."""
    cut = tail(num_clusters)
    low, high = np.quantile(sampled_R, [cut, 1 - cut])
    return float(low), float(high)
