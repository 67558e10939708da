"""Strengths of systems from games between them: Bradley–Terry, and the same with style held equal.

Dimensions: S systems, N battles, K clusters of prompts, R resamples, B resamples at a time, F features,
P = S + F parameters. Points are fractional: a tie is half a win each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbest.evaluate.intervals import LEVEL, Estimate, tail

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_PRECISION: Final = 1e-9
_MAX_ROUNDS: Final = 10_000
_MAX_STEP: Final = 2.0
_CHUNK: Final = 2_000_000
"""Numbers held at a time while refitting."""


class Battles(NamedTuple):
    """All games of one pair of systems on one prompt, both orders added up; N of them."""

    first_N: Ints
    second_N: Ints
    won_N: Floats
    """Points of the first."""
    lost_N: Floats
    """Points of the second."""
    cluster_N: Ints


def bradley_terry(won_SS: Floats, *, prior: float = 1.0) -> Floats:
    """Log-strengths θ with mean 0: P(i beats j) = 1 / (1 + exp(θ_j − θ_i)) (Bradley & Terry 1952).

    `won[…, i, j]` are the points of i against j; leading dimensions are tables of their own. Newman's
    iteration (2023, JMLR 24:238, eq. 8), one system after the other:
    π_i ← Σ_j w_ij π_j / (π_i + π_j)  /  Σ_j w_ji / (π_i + π_j).
    Every system also ties `prior` games, spread evenly over the others, so that one that never loses has
    a finite strength. Without them (0: maximum likelihood) raises `ValueError` where no finite strengths
    exist: some systems never lost to any of the others (Ford 1957).
    """
    num_systems = won_SS.shape[-1]
    won_TSS = won_SS.reshape(-1, num_systems, num_systems) + _tied(num_systems, prior)
    if prior == 0 and not _is_connected(won_TSS):
        raise ValueError("no finite strengths: some systems never lost to the others; use a prior")
    pi_TS = np.ones(won_TSS.shape[:2])
    for _ in range(_MAX_ROUNDS):
        before = pi_TS.copy()
        for i in range(num_systems):
            of_i = pi_TS[:, i : i + 1]
            wins = (won_TSS[:, i] * pi_TS / (of_i + pi_TS)).sum(axis=1)
            losses = (won_TSS[:, :, i] / (of_i + pi_TS)).sum(axis=1)
            pi_TS[:, i] = wins / losses
        pi_TS /= np.exp(np.log(pi_TS).mean(axis=1, keepdims=True))
        if np.abs(np.log(pi_TS / before)).max(initial=0.0) < _PRECISION:
            break
    theta = np.log(pi_TS)
    return (theta - theta.mean(axis=1, keepdims=True)).reshape(won_SS.shape[:-1])


def controlled(
    battles: Battles, features_NF: Floats, num_systems: int, weights: Iterable[Floats] | None = None
) -> Floats:
    """Log-strengths and style coefficients: logit P(first beats second) = θ_first − θ_second + z · β.

    The regression of Arena-Hard v2's style control and of AlpacaEval's length control (Dubois et al. 2024,
    arXiv 2404.04475) without its term for the difficulty of an instruction. z is the difference of
    style, first − second, so θ compares the systems at equal style. Weighted by points, with the tied games
    of `bradley_terry`, which this equals without features, and one that holds each β back as well.
    `weights` are chunks B×K of how often each cluster counts; without, once. Returns (R, P), R = 1 without.

    Newton's method for all resamples at once, from the fit to the whole data.
    """
    num_games = battles.won_N.size
    x_NP = np.zeros((num_games, num_systems + features_NF.shape[1]))
    x_NP[np.arange(num_games), battles.first_N] += 1
    x_NP[np.arange(num_games), battles.second_N] -= 1
    x_NP[:, num_systems:] = features_NF
    whole = _newton(x_NP, battles, np.ones((1, num_games)), np.zeros((1, x_NP.shape[1])), num_systems)
    if weights is None:
        return whole
    fits: list[Floats] = []
    step = max(1, _CHUNK // num_games)
    for weights_BK in weights:
        for i in range(0, len(weights_BK), step):
            weights_BN = weights_BK[i : i + step, battles.cluster_N]
            start_BP = np.repeat(whole, len(weights_BN), axis=0)
            fits.append(_newton(x_NP, battles, weights_BN, start_BP, num_systems))
    return np.concatenate(fits)


def _newton(x_NP: Floats, battles: Battles, weights_BN: Floats, start_BP: Floats, num_systems: int) -> Floats:
    """Maximises Σ w [won log σ(xβ) + lost log σ(−xβ)] with Σ θ = 0; strictly concave."""
    num_parameters = x_NP.shape[1]
    prior_MP, half_M = _prior_rows(num_systems, num_parameters)
    rows_NP = np.concatenate([x_NP, prior_MP])
    outer_NQ = (rows_NP[:, :, None] * rows_NP[:, None, :]).reshape(-1, num_parameters**2)
    won_N = np.concatenate([battles.won_N, half_M])
    games_N = won_N + np.concatenate([battles.lost_N, half_M])
    weights_BN = np.hstack([weights_BN, np.ones((len(weights_BN), half_M.size))])
    # Only differences of strengths are in the data; this holds their sum at 0 and changes nothing else.
    is_strength_P = np.array([float(p < num_systems) for p in range(num_parameters)])
    sum_PP = np.outer(is_strength_P, is_strength_P)
    beta_BP = start_BP.copy()
    for _ in range(_MAX_ROUNDS):
        p_BN = _sigmoid(beta_BP @ rows_NP.T)
        slope_BP = (weights_BN * (won_N - games_N * p_BN)) @ rows_NP - beta_BP @ sum_PP
        curve_BQ = (weights_BN * games_N * p_BN * (1 - p_BN)) @ outer_NQ
        curve_BPP = curve_BQ.reshape(-1, num_parameters, num_parameters) + sum_PP
        step_BP = np.linalg.solve(curve_BPP, slope_BP[..., None])[..., 0]
        longest_B1 = np.abs(step_BP).max(axis=1, keepdims=True, initial=_MAX_STEP)
        beta_BP += step_BP * (_MAX_STEP / longest_B1)
        if np.abs(step_BP).max(initial=0.0) < _PRECISION:
            break
    return beta_BP


def _tied(num_systems: int, prior: float) -> Floats:
    """Half-wins of every system against every other: `prior` tied games for each."""
    return (1 - np.eye(num_systems)) * prior / 2 / max(1, num_systems - 1)


def _prior_rows(num_systems: int, num_parameters: int) -> tuple[Floats, Floats]:
    """The same tied games as rows of a regression, and one for each coefficient; half-wins of each row."""
    first, second = np.triu_indices(num_systems, k=1)
    eye = np.eye(num_parameters)
    rows = np.concatenate([eye[first] - eye[second], eye[num_systems:]])
    half = np.full(len(rows), 0.5)
    half[: len(first)] = _tied(num_systems, 1.0)[first, second]
    return rows, half


def share_estimate(value: float, sampled_R: Floats, num_clusters: int) -> Estimate:
    """A share of points with its expanded-percentile interval from resampled clusters.

    Where every cluster says 0 or every cluster says 1: Clopper & Pearson's bound for that many trials. One
    cluster says nothing about others: from 0 to 1.
    """
    if value in {0.0, 1.0} and num_clusters > 0:
        bound = ((1 - LEVEL) / 2) ** (1 / num_clusters)
        return Estimate(value, bound if value else 0.0, 1.0 if value else 1 - bound)
    if num_clusters < 2:  # noqa: PLR2004
        return Estimate(value, 0.0, 1.0)
    cut = tail(num_clusters)
    low, high = np.quantile(sampled_R, [cut, 1 - cut])
    return Estimate(value, float(low), float(high))


def win_probability(theta_P: Floats, system: int, baseline: int) -> Floats:
    """σ(θ_system − θ_baseline) along the last dimension."""
    return _sigmoid(theta_P[..., system] - theta_P[..., baseline])


def _is_connected(won_TSS: Floats) -> bool:
    """Whether in every table each system can be reached from each other along games lost."""
    num_systems = won_TSS.shape[-1]
    reached = np.linalg.matrix_power((won_TSS > 0) + np.eye(num_systems), num_systems)
    return bool(np.all(reached > 0))


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(x / 2))
