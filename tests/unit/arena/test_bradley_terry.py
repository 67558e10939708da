"""Bradley–Terry and the regressions, against slower or foreign ways to the same numbers."""

from itertools import permutations
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from nbest.arena.point_shares import share_estimate
from nbest.arena.style_control import Battles, controlled, win_probability
from nbest.judging.bradley_terry import bradley_terry

POINTS = np.array([[0, 3, 4, 1], [2, 0, 5.5, 2], [1, 2.5, 0, 6], [4, 1, 2, 0]])


def zermelo(won, rounds=20_000):
    """The naive twin: Zermelo's iteration (1929) in plain Python."""
    n = len(won)
    pi = [1.0] * n
    for _ in range(rounds):
        wins = [sum(won[i][j] for j in range(n) if j != i) for i in range(n)]
        pi = [
            wins[i] / sum((won[i][j] + won[j][i]) / (pi[i] + pi[j]) for j in range(n) if j != i)
            for i in range(n)
        ]
        mean = exp(sum(map(log, pi)) / n)
        pi = [p / mean for p in pi]
    return [log(p) for p in pi]


def battles_of(won):
    pairs = [(i, j) for i in range(len(won)) for j in range(i + 1, len(won))]
    first, second = (np.array(x, dtype=np.intp) for x in zip(*pairs, strict=True))
    return Battles(first, second, won[first, second], won[second, first], np.arange(len(pairs)))


tables = st.integers(2, 5).flatmap(
    lambda n: st.lists(st.floats(0.5, 20), min_size=n * n, max_size=n * n).map(
        lambda x: np.array(x).reshape(n, n) * (1 - np.eye(n))
    )
)


@settings(max_examples=25, deadline=None)
@given(won=tables)
def test_it_is_its_naive_twin(won):
    assert bradley_terry(won, prior=0) == pytest.approx(zermelo(won.tolist(), 3000), abs=1e-5)


def test_it_agrees_with_evalica():
    evalica = pytest.importorskip("evalica", reason="evalica is not installed: a cross-check only")
    xs, ys, winners, weights = [], [], [], []
    for i, j in permutations(range(len(POINTS)), 2):
        xs.append(i)
        ys.append(j)
        winners.append(evalica.Winner.X)
        weights.append(POINTS[i, j])
    theirs = evalica.bradley_terry(xs, ys, winners, weights=weights, tolerance=1e-12, limit=100_000).scores
    ours = np.exp(bradley_terry(POINTS, prior=0))
    assert [theirs[i] / theirs[0] for i in range(len(POINTS))] == pytest.approx(
        list(ours / ours[0]), rel=1e-6
    )


def test_two_systems_have_the_odds_of_their_points():
    theta = bradley_terry(np.array([[0, 30.0], [10.0, 0]]), prior=0)
    assert theta == pytest.approx([log(3) / 2, -log(3) / 2])
    assert float(win_probability(theta, 0, 1)) == pytest.approx(0.75)


def test_the_prior_is_one_tied_game_each():
    theta = bradley_terry(np.array([[0, 9.5], [0, 0]]))
    assert exp(theta[0] - theta[1]) == pytest.approx(10 / 0.5)


def test_without_a_prior_an_unbeaten_system_has_no_strength():
    with pytest.raises(ValueError, match="never lost"):
        bradley_terry(np.array([[0, 5.0], [0, 0]]), prior=0)
    with pytest.raises(ValueError, match="never lost"):  # two groups that never met
        bradley_terry(np.kron(np.eye(2), np.array([[0, 1.0], [1.0, 0]])), prior=0)


def test_tables_at_once_are_tables_one_by_one():
    many = np.stack([POINTS, POINTS.T, 2 * POINTS])
    assert bradley_terry(many) == pytest.approx(np.stack([bradley_terry(t) for t in many]))


def test_without_features_the_regression_is_bradley_terry():
    theta = controlled(battles_of(POINTS), np.zeros((6, 0)), 4)[0]
    assert theta == pytest.approx(bradley_terry(POINTS), abs=1e-8)


def test_the_regression_maximises_what_it_says():
    rng = np.random.default_rng(4)
    n, s = 80, 3
    first = rng.integers(s, size=n)
    second = (first + rng.integers(1, s, size=n)) % s
    z = rng.standard_normal((n, 2))
    won = rng.integers(0, 7, size=n) / 2
    b = Battles(first, second, won, 3 - won, np.arange(n) % 20)

    def loss(beta):
        sigma = lambda x: -np.logaddexp(0, -x)  # noqa: E731
        x = beta[first] - beta[second] + z @ beta[s:]
        value = np.sum(b.won_N * sigma(x) + b.lost_N * sigma(-x))
        pairs = [beta[i] - beta[j] for i in range(s) for j in range(i)]
        value += sum((sigma(d) + sigma(-d)) / 2 / (s - 1) for d in pairs)
        return -value - sum((sigma(c) + sigma(-c)) / 2 for c in beta[s:])

    ours = controlled(b, z, s)[0]
    theirs = minimize(loss, np.zeros(s + 2), method="BFGS", options={"gtol": 1e-8}).x
    theirs[:s] -= theirs[:s].mean()
    assert ours == pytest.approx(theirs, abs=1e-5)

    doubled = rng.integers(0, 3, size=(4, 20)).astype(float)
    again = controlled(b, z, s, [doubled[:1], doubled[1:]])
    for row, weights in zip(again, doubled, strict=True):
        repeated = np.repeat(np.arange(n), weights[b.cluster_N].astype(int))
        part = Battles(*(x[repeated] for x in b))
        assert row == pytest.approx(controlled(part, z[repeated], s)[0], abs=1e-6)


def test_a_perfectly_separable_table_has_a_finite_fit():
    b = Battles(*(np.array(x) for x in ([0, 0], [1, 1], [300.0, 300.0], [0.0, 0.0], [0, 1])))
    fit = controlled(b, np.array([[1.0], [0.9]]), 2)[0]
    assert np.all(np.isfinite(fit))
    assert win_probability(fit, 0, 1) > 0.9


def test_shares_at_the_edge_and_of_one_cluster():
    assert share_estimate(1.0, np.ones(9), 20) == (1.0, pytest.approx(0.025 ** (1 / 20)), 1.0)
    assert share_estimate(0.0, np.zeros(9), 20)[2] == pytest.approx(1 - 0.025 ** (1 / 20))
    assert share_estimate(0.6, np.full(9, 0.6), 1) == (0.6, 0.0, 1.0)
