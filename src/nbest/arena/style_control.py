"""Strengths of systems with the style of their answers held equal.

Dimensions: S systems, N battles, K clusters of prompts, R resamples, B resamples at a time, F features,
P = S + F parameters. Points are fractional: a tie is half a win each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from nbest.evaluate.confidence import Floats, Ints
from nbest.judging.bradley_terry import tied_games

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


def _prior_rows(num_systems: int, num_parameters: int) -> tuple[Floats, Floats]:
    """The same tied games as rows of a regression, and one for each coefficient; half-wins of each row."""
    first, second = np.triu_indices(num_systems, k=1)
    eye = np.eye(num_parameters)
    rows = np.concatenate([eye[first] - eye[second], eye[num_systems:]])
    half = np.full(len(rows), 0.5)
    half[: len(first)] = tied_games(num_systems, 1.0)[first, second]
    return rows, half


def win_probability(theta_P: Floats, system: int, baseline: int) -> Floats:
    """σ(θ_system − θ_baseline) along the last dimension."""
    return _sigmoid(theta_P[..., system] - theta_P[..., baseline])


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(x / 2))
