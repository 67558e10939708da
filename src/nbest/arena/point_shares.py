"""Shares of points with their intervals."""

from __future__ import annotations

from nbest.evaluate.confidence import Estimate, Floats, exact_share, percentiles


def share_estimate(value: float, sampled_R: Floats, num_clusters: int) -> Estimate:
    """A share of points with its expanded-percentile interval from R resamples of clusters.

    Where every cluster says 0 or every cluster says 1: Clopper & Pearson's bound for that many trials. One
    cluster says nothing about others: from 0 to 1.
    """
    if value in {0.0, 1.0} and num_clusters > 0:
        return exact_share(value, num_clusters)
    if num_clusters < 2:  # noqa: PLR2004
        return Estimate(value, 0.0, 1.0)
    low, high = percentiles(sampled_R, num_clusters)
    return Estimate(value, low, high)
