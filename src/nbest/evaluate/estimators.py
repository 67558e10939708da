"""Numbers about outcomes, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbest.answers import equivalent, extract
from nbest.types import Candidate, Outcome


class Estimate(NamedTuple):
    """A value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def is_right(candidate: Candidate, outcome: Outcome) -> bool:
    """Whether the candidate's final answer is the gold one. Raises `KeyError` without a gold answer."""
    gold = str(outcome.gold["answer"])
    return candidate.is_usable and equivalent(extract(candidate.text, language=outcome.prompt.language), gold)


def correctness(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """1 where the chosen answer is right, else 0; shape (num_outcomes,)."""
    return np.array([float(o.selection is not None and is_right(o.selection.winner, o)) for o in outcomes])


def mean_interval(
    values_P: NDArray[np.float64],  # noqa: N803
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Estimate:
    """Mean over P prompts with its percentile bootstrap interval.

    Of paired differences it is the paired bootstrap (Efron & Tibshirani 1993).
    Raises `ValueError` for no values.
    """
    if values_P.size == 0:
        raise ValueError("no values to average")
    rng = np.random.default_rng(seed)
    rows_RP = rng.integers(values_P.size, size=(resamples, values_P.size))  # noqa: N806
    means_R = values_P[rows_RP].mean(axis=1)  # noqa: N806
    low, high = np.quantile(means_R, [0.025, 0.975])
    return Estimate(float(values_P.mean()), float(low), float(high))


def scores_of_pools(outcomes: Sequence[Outcome]) -> list[NDArray[np.float64]]:
    """For each outcome, 1 or 0 for each of its candidates, failed ones being 0."""
    return [np.array([float(is_right(c, o)) for c in o.candidates]) for o in outcomes]


def hope(pools: Sequence[NDArray[np.float64]], greedy_P: NDArray[np.float64]) -> Estimate:  # noqa: N803
    """Mean over prompts of max_i s(y_i) − s(greedy): what a perfect choice would gain (arXiv 2506.20544)."""
    return mean_interval(np.array([pool.max() for pool in pools]) - greedy_P)


def risk(pools: Sequence[NDArray[np.float64]], greedy_P: NDArray[np.float64]) -> Estimate:  # noqa: N803
    """Mean over prompts of min_i s(y_i) − s(greedy): what the worst choice would lose (arXiv 2506.20544)."""
    return mean_interval(np.array([pool.min() for pool in pools]) - greedy_P)
