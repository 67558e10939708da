import numpy as np
import pytest
from scipy import integrate, stats

from nbest.plan.posterior import p_beats_second, top_posterior

VOTES = [(1,), (3,), (2, 2), (5, 3, 1), (1, 1, 1, 1), (10, 9, 9, 1, 1), (64,), (40, 20, 4)]


def naive(votes, alpha):
    """By the definition: gamma variables, integrated adaptively."""
    shapes = [*votes, alpha]
    first = stats.gamma(shapes[0])
    others = [stats.gamma(a) for a in shapes[1:]]
    is_top, _ = integrate.quad(
        lambda x: first.pdf(x) * np.prod([o.cdf(x) for o in others]), 0, 200, limit=400, points=[1, 5, 50]
    )
    largest, _ = integrate.quad(
        lambda x: 1 - first.cdf(x) * np.prod([o.cdf(x) for o in others]), 0, 200, limit=400, points=[1, 5, 50]
    )
    total = sum(votes) + alpha
    return is_top, largest / total - votes[0] / total


@pytest.mark.parametrize("alpha", [0.3, 1.0])
@pytest.mark.parametrize("votes", VOTES)
def test_the_quadrature_is_the_definition(votes, alpha):
    found = top_posterior(np.array([votes]), alpha)
    is_top, regret = naive(votes, alpha)
    assert found.is_top_U[0] == pytest.approx(is_top, abs=2e-5)
    assert found.regret_U[0] == pytest.approx(max(0.0, regret), abs=2e-5)


def test_rows_are_padded_with_zeros_and_may_have_no_vote():
    found = top_posterior(np.array([[5, 3, 1], [3, 0, 0], [0, 0, 0]]), 0.3)
    alone = top_posterior(np.array([[3]]), 0.3)
    assert found.is_top_U[1] == pytest.approx(alone.is_top_U[0], abs=1e-12)
    assert (found.is_top_U[2], found.regret_U[2]) == (0.0, 0.0)


def test_many_rows_are_those_one_by_one():
    rng = np.random.default_rng(0)
    rows = -np.sort(-rng.integers(0, 30, size=(9000, 5)), axis=1)
    found = top_posterior(rows, 0.3)
    for i in (0, 8191, 8192, 8999):
        assert found.is_top_U[i] == pytest.approx(top_posterior(rows[i : i + 1], 0.3).is_top_U[0], abs=1e-9)


def test_a_large_pool_has_room_in_the_tables():
    found = top_posterior(np.array([[1000, 900], [500, 499]]), 0.3)
    exact = stats.beta(1000, 900).sf(0.5)
    assert found.is_top_U[0] == pytest.approx(exact, abs=1e-3)
    assert found.is_top_U[1] == pytest.approx(stats.beta(500, 499).sf(0.5), abs=1e-3)


def test_p_beats_second_is_a_beta_tail():
    assert p_beats_second(3, 1) == pytest.approx(stats.beta(4, 2).sf(0.5))
