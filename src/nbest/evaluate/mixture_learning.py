"""`nbest fit mixture`: weights of several engines in one vote, and what they do on prompts that they were not fitted on.

Two folds of clusters: weights that were fitted on one are tried on the other. The weights to use are fitted on all.
Dimensions as in `nbest.plan.mixture_weights`; N draws of a vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbest.errors import InputError
from nbest.evaluate.confidence import Estimate
from nbest.evaluate.intervals import mean_interval, units_of
from nbest.evaluate.joined_pools import JoinedPools
from nbest.plan.mixture_weights import MixtureFit, fit_weights
from nbest.plan.trajectories import Floats
from nbest.sampling.engine_shares import dealt

_NUM_ORDERS = 20


class Votes(NamedTuple):
    """Majority of n draws, by prompt, averaged over random orders."""

    values_P: Floats
    costs_P: Floats
    """Output tokens times price."""


class HeldOutVote(NamedTuple):
    """A vote of n draws on prompts that decided nothing about it."""

    n: int
    mixture: Estimate
    """Mean score of the majority with the fitted weights."""
    single: Estimate
    """The same of the best single engine, which the fitting fold chose as well."""
    difference: Estimate
    """Mixture less single, paired by prompt."""
    cost: float
    """Mean cost of a prompt with the mixture."""
    single_cost: float


class MixtureResult(NamedTuple):
    """What `nbest fit mixture` found."""

    names: tuple[str, ...]
    fit: MixtureFit
    """On all prompts."""
    fold_weights: tuple[tuple[float, ...], ...]
    """Fitted on each half alone: how much the weights depend on the prompts."""
    held_out: tuple[HeldOutVote, ...]
    num_prompts: int

    @property
    def spec(self) -> str:
        """The sampler that draws so."""
        weights = ", ".join(f"{weight:.3g}" for weight in self.fit.weights_E)
        return f"mixture(engines=[{', '.join(self.names)}], weights=[{weights}])"


def learn_mixture(
    pools: JoinedPools,
    names: Sequence[str],
    *,
    sizes: Sequence[int] = (1, 4, 8, 16, 32),
    prices: Sequence[float] | None = None,
    lam: float = 0.0,
    seed: int = 0,
) -> MixtureResult:
    """Fits the weights. `prices` are of one output token of each engine, by default equal.

    `lam` is what a right answer is worth less for each mean draw's cost (that of all engines together). Votes larger
    than the pools are left out. Raises `InputError` for fewer than 4 clusters.
    """
    units_P = units_of(pools.clusters, len(pools.clusters))
    num_units = int(units_P.max()) + 1
    if num_units < 4:  # noqa: PLR2004
        raise InputError(f"weights are fitted on at least 4 clusters of prompts, got {num_units}")

    prices_E = np.ones(len(names))
    if prices is not None:
        prices_E = np.array(prices, dtype=np.float64)
    fold_P = (np.random.default_rng(seed).permutation(num_units) % 2)[units_P]
    width = pools.classes_PEM.shape[2]
    usable_sizes = [n for n in sizes if n <= width]
    halves = [_fitted(pools.select(fold_P != fold), prices_E, lam) for fold in (0, 1)]
    return MixtureResult(
        names=tuple(names),
        fit=_fitted(pools, prices_E, lam),
        fold_weights=tuple(tuple(map(float, half.weights_E)) for half in halves),
        held_out=tuple(_held_out(pools, fold_P, halves, n, prices_E, lam, seed) for n in usable_sizes),
        num_prompts=len(pools.clusters),
    )


def majority_votes(
    pools: JoinedPools, weights_E: Floats, n: int, *, prices_E: Floats, seed: int = 0
) -> Votes:
    """Majority of n draws that are dealt to the engines by the weights; of equal classes the one that came first.

    Each order is a random permutation of each engine's draws. Raises `ValueError` where an engine has too few.
    """
    turns = np.array(dealt([float(weight) for weight in weights_E], n))
    places = np.array([int((turns[:i] == turns[i]).sum()) for i in range(n)])
    if places.max() >= pools.classes_PEM.shape[2]:
        raise ValueError(f"a vote of {n} takes more draws of an engine than were recorded")

    rng = np.random.default_rng(seed)
    values_P = np.zeros(pools.classes_PEM.shape[0])
    costs_P = np.zeros(pools.classes_PEM.shape[0])
    rows: NDArray[np.int64] = np.arange(values_P.size)[:, None]
    for _ in range(_NUM_ORDERS):
        order_PEM = rng.random(pools.classes_PEM.shape).argsort(axis=2)
        at_PN = order_PEM[:, turns, places]
        chosen = chosen_places(pools.classes_PEM[rows, turns, at_PN])
        values_P += pools.values_PEM[rows, turns, at_PN][rows[:, 0], chosen]
        costs_P += (pools.lengths_PEM[rows, turns, at_PN] * prices_E[turns]).sum(axis=1)
    return Votes(values_P / _NUM_ORDERS, costs_P / _NUM_ORDERS)


def chosen_places(classes_PN: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Place of the majority's first draw in each row; 0 where no draw has an answer."""
    same_PNN = classes_PN[:, :, None] == classes_PN[:, None, :]
    votes_PN = same_PNN.sum(axis=2)
    votes_PN[classes_PN < 0] = 0
    return votes_PN.argmax(axis=1)


def _fitted(pools: JoinedPools, prices_E: Floats, lam: float) -> MixtureFit:
    costs_E = pools.lengths_PEM.mean(axis=(0, 2), dtype=np.float64) * prices_E
    return fit_weights(pools.classes_PEM, pools.values_PEM, costs_E=costs_E / costs_E.mean(), lam=lam)


def _held_out(
    pools: JoinedPools,
    fold_P: NDArray[Any],
    halves: Sequence[MixtureFit],
    n: int,
    prices_E: Floats,
    lam: float,
    seed: int,
) -> HeldOutVote:
    """The weights of each half, and the engine that was best there, on the other half."""
    num_prompts, num_engines, _ = pools.classes_PEM.shape
    costs_E = pools.lengths_PEM.mean(axis=(0, 2), dtype=np.float64) * prices_E
    alone = [majority_votes(pools, one, n, prices_E=prices_E, seed=seed) for one in np.eye(num_engines)]
    mixed, single = np.zeros((2, num_prompts)), np.zeros((2, num_prompts))
    for fold in (0, 1):
        is_held_P = fold_P == fold
        nets = [
            votes.values_P[~is_held_P].mean() - lam * cost
            for votes, cost in zip(alone, costs_E / costs_E.mean(), strict=True)
        ]
        best = alone[int(np.argmax(nets))]
        votes = majority_votes(pools, halves[fold].weights_E, n, prices_E=prices_E, seed=seed)
        mixed[:, is_held_P] = votes.values_P[is_held_P], votes.costs_P[is_held_P]
        single[:, is_held_P] = best.values_P[is_held_P], best.costs_P[is_held_P]

    def interval(values_P: Floats) -> Estimate:
        return mean_interval(values_P, clusters=pools.clusters, seed=seed)

    return HeldOutVote(
        n=n,
        mixture=interval(mixed[0]),
        single=interval(single[0]),
        difference=interval(mixed[0] - single[0]),
        cost=float(mixed[1].mean()),
        single_cost=float(single[1].mean()),
    )
