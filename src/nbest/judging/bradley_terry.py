"""Strengths of players from the points of their games (Bradley & Terry 1952).

Dimensions: S players, T tables of points. Points are fractional: a tie is half a win each.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MAX_ROUNDS: Final = 10_000


def bradley_terry(won_SS: Floats, *, prior: float = 1.0, precision: float = 1e-9) -> Floats:
    """Log-strengths θ with mean 0: P(i beats j) = 1 / (1 + exp(θ_j − θ_i)).

    `won[…, i, j]` are the points of i against j; leading dimensions are tables of their own. Newman's
    iteration (2023, JMLR 24:238, eq. 8), one player after the other:
    π_i ← Σ_j w_ij π_j / (π_i + π_j)  /  Σ_j w_ji / (π_i + π_j), until no θ changes by `precision` in a round.
    Every player also ties `prior` games, spread evenly over the others, so that one that never loses has
    a finite strength. Without them (0: maximum likelihood) raises `ValueError` where no finite strengths
    exist: some players never lost to any of the others (Ford 1957).
    """
    num_players = won_SS.shape[-1]
    won_TSS = won_SS.reshape(-1, num_players, num_players) + tied_games(num_players, prior)
    if prior == 0 and not _is_connected(won_TSS):
        raise ValueError("no finite strengths: some players never lost to the others; use a prior")

    pi_TS = np.ones(won_TSS.shape[:2])
    for _ in range(_MAX_ROUNDS):
        before = pi_TS.copy()
        for i in range(num_players):
            of_i = pi_TS[:, i : i + 1]
            wins = (won_TSS[:, i] * pi_TS / (of_i + pi_TS)).sum(axis=1)
            losses = (won_TSS[:, :, i] / (of_i + pi_TS)).sum(axis=1)
            pi_TS[:, i] = wins / losses
        pi_TS /= np.exp(np.log(pi_TS).mean(axis=1, keepdims=True))
        if np.abs(np.log(pi_TS / before)).max(initial=0.0) < precision:
            break
    theta = np.log(pi_TS)
    return (theta - theta.mean(axis=1, keepdims=True)).reshape(won_SS.shape[:-1])


def against_phantom(won_SS: Floats, *, precision: float = 1e-12) -> Floats:
    """Log-strengths relative to a phantom of log-strength 0 that everybody ties one game with.

    For candidates of one pool: a strength does not depend on how many candidates there are. Shape (S,).
    """
    num_players = won_SS.shape[-1]
    with_phantom = np.zeros((num_players + 1, num_players + 1))
    with_phantom[:num_players, :num_players] = won_SS
    with_phantom[:num_players, num_players] = 0.5
    with_phantom[num_players, :num_players] = 0.5
    theta = bradley_terry(with_phantom, prior=0, precision=precision)
    return theta[:num_players] - theta[num_players]


def tied_games(num_players: int, prior: float) -> Floats:
    """Half-wins of every player against every other: `prior` tied games for each; shape (S, S)."""
    return (1 - np.eye(num_players)) * prior / 2 / max(1, num_players - 1)


def _is_connected(won_TSS: Floats) -> bool:
    """Whether in every table each player can be reached from each other along games lost."""
    num_players = won_TSS.shape[-1]
    reached = np.linalg.matrix_power((won_TSS > 0) + np.eye(num_players), num_players)
    return bool(np.all(reached > 0))
