"""What votes say about a model's true shares of answers: posteriors of Dirichlet and Beta models.

Dimensions: U rows of votes, C classes (most votes first, zeros behind), X nodes of a quadrature.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_special = cast("Any", special)
_NODES_PER_UNIT: Final = 16
_ROWS: Final = 8192
"""Rows of votes worked on at a time."""


def p_beats_second(first: Any, second: Any) -> Any:
    """P(p₁ > p₂) for shares of the two leading answers: 1 − I_½(v₁ + 1, v₂ + 1).

    The probability that a coin with v₁ heads and v₂ tails, under a uniform prior, is above ½. Numbers or arrays.
    """
    return 1.0 - _special.betainc(np.add(first, 1.0), np.add(second, 1.0), 0.5)


class TopPosterior(NamedTuple):
    """By row of votes."""

    is_top_U: Floats
    """Probability that the leader's true share is the largest."""
    regret_U: Floats
    """Expected largest true share less the leader's expected true share: what knowing the shares would gain if an
    answer with share p is right with probability p."""


def top_posterior(counts_UC: Ints, alpha: float) -> TopPosterior:
    """Posterior of the shares X ~ Dirichlet(v₁, …, v_k, α): a Dirichlet process with concentration α, whose last
    part is all answers not seen yet taken together (Best-of-∞, arXiv 2509.21091).

    As X is a vector of independent gamma variables over their sum S, which is independent of X:
    P(X₁ largest) = ∫ f(x; v₁) Π_{i>1} F(x; v_i) dx and E[max X] = ∫ (1 − Π F(x; v_i)) dx / (Σv + α), by quadrature
    over √x, where every density is about as wide. Rows without a vote have probability 0 and regret 0.
    """
    is_top_U = np.zeros(counts_UC.shape[0])
    regret_U = np.zeros(counts_UC.shape[0])
    largest = int(counts_UC.max(initial=0))
    tables = _tables(1 << max(4, largest.bit_length()), alpha)
    for start in range(0, counts_UC.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        is_top_U[rows], regret_U[rows] = _chunk(counts_UC[rows], alpha, tables)
    return TopPosterior(is_top_U, regret_U)


class _Tables(NamedTuple):
    """Of gamma distributions with shapes 0 … M at the X nodes; shape 0 is a part that is not there."""

    weights_X: Floats
    log_cdf_MX: Floats
    density_MX: Floats
    log_cdf_unseen_X: Floats


@lru_cache(maxsize=8)
def _tables(largest: int, alpha: float) -> _Tables:
    end = np.sqrt(largest + 10 * np.sqrt(largest) + 20)
    nodes, weights = cast("tuple[Floats, Floats]", _special.roots_legendre(int(end * _NODES_PER_UNIT)))
    root_X = (nodes + 1) * end / 2
    x_X = root_X**2
    weights_X = weights * end / 2 * 2 * root_X

    shapes_M1 = np.arange(1, largest + 1, dtype=np.float64)[:, None]
    log_density = (shapes_M1 - 1) * np.log(x_X) - x_X - _special.gammaln(shapes_M1)
    with np.errstate(divide="ignore"):
        log_cdf = np.log(_special.gammainc(shapes_M1, x_X))
        unseen = np.log(_special.gammainc(alpha, x_X))
    nothing = np.zeros((1, x_X.size))
    log_cdf_MX = np.maximum(np.vstack([nothing, log_cdf]), -700.0)
    return _Tables(weights_X, log_cdf_MX, np.vstack([nothing, np.exp(log_density)]), unseen)


def _chunk(counts_UC: Ints, alpha: float, tables: _Tables) -> tuple[Floats, Floats]:
    num_rows, largest = counts_UC.shape[0], tables.log_cdf_MX.shape[0]
    first_place_U: Ints = largest * np.arange(num_rows, dtype=np.int64)
    places_UC: Ints = np.add(counts_UC, first_place_U[:, None], dtype=np.int64)
    how_often_UM = np.bincount(places_UC.ravel(), minlength=num_rows * largest).reshape(num_rows, largest)
    log_all_UX = how_often_UM.astype(np.float64) @ tables.log_cdf_MX + tables.log_cdf_unseen_X

    first_U = counts_UC[:, 0]
    others_UX = np.exp(log_all_UX - tables.log_cdf_MX[first_U])
    is_top_U = (others_UX * tables.density_MX[first_U]) @ tables.weights_X
    total_U = counts_UC.sum(axis=1) + alpha
    largest_share_U = ((1.0 - np.exp(log_all_UX)) @ tables.weights_X) / total_U
    has_vote_U = first_U > 0
    regret_U = np.maximum(0.0, largest_share_U - first_U / total_U)
    return np.where(has_vote_U, np.minimum(is_top_U, 1.0), 0.0), np.where(has_vote_U, regret_U, 0.0)
