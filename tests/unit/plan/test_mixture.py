"""Weights of engines in one vote, against a grid of weights."""

from itertools import product

import numpy as np
import pytest

from nbest.plan.mixture_weights import fit_weights, num_right_of, vote_shares


def right_majorities(classes_PEM, values_PEM, weights):
    """Naive twin: prompts whose right answer has more weight than any other."""
    num = 0
    for classes_EM, values_EM in zip(classes_PEM, values_PEM, strict=True):
        weight, right = {}, None
        for e, classes_M in enumerate(classes_EM):
            for c in classes_M:
                if c >= 0:
                    weight[c] = weight.get(c, 0) + weights[e] / len(classes_M)
            pairs = zip(classes_M, values_EM[e], strict=True)
            right = next((c for c, value in pairs if value >= 0.5), right)
        if right is None:
            continue
        others = [w for c, w in weight.items() if c != right]
        num += weight[right] - max(others, default=0) > 1e-3 - 1e-9
    return num


def made(seed, num_prompts=25, num_engines=3, num_draws=6, num_classes=4):
    rng = np.random.default_rng(seed)
    favourite_PE = rng.integers(num_classes, size=(num_prompts, num_engines))
    classes = rng.integers(-1, num_classes, size=(num_prompts, num_engines, num_draws))
    sure = rng.random(classes.shape) < 0.5
    classes = np.where(sure, favourite_PE[:, :, None], classes)
    return classes, (classes == 0).astype(float)


@pytest.mark.parametrize("seed", range(8))
def test_no_weights_of_a_grid_have_more_right_majorities(seed):
    classes, values = made(seed)
    found = fit_weights(classes, values)
    grid = [(a, b, 1 - a - b) for a, b in product(np.linspace(0, 1, 21), repeat=2) if a + b <= 1 + 1e-9]
    best = max(right_majorities(classes, values, weights) for weights in grid)
    assert found.is_optimal
    assert found.num_right >= best
    assert right_majorities(classes, values, found.weights_E) == found.num_right
    assert num_right_of(classes, values, found.weights_E) == found.num_right
    assert found.weights_E.sum() == pytest.approx(1)
    assert (found.weights_E >= 0).all()


def test_of_equally_good_weights_those_with_the_widest_margin():
    # Engine 0 knows prompt 0 and engine 1 prompt 1, equally well: half and half is furthest from a mistake.
    classes = np.array([[[0, 0, 0, 0], [0, 1, 1, 2]], [[0, 1, 1, 2], [0, 0, 0, 0]]])
    found = fit_weights(classes, (classes == 0).astype(float))
    assert found.num_right == 2
    assert found.weights_E == pytest.approx([0.5, 0.5])
    assert found.margin == pytest.approx(0.375)


def test_a_dear_engine_is_left_out_where_it_gains_less_than_it_costs():
    classes = np.zeros((20, 2, 4), dtype=int)
    classes[:2, 0] = 1  # the cheap engine misses two prompts of twenty
    values = (classes == 0).astype(float)
    dear = np.array([0.1, 1.9])
    assert fit_weights(classes, values, costs_E=dear, lam=0.01).num_right == 20
    frugal = fit_weights(classes, values, costs_E=dear, lam=0.5)
    assert frugal.num_right == 18
    assert frugal.weights_E == pytest.approx([1, 0])


def test_prompts_without_a_right_or_any_answer_count_for_nothing():
    classes = np.array([[[-1, -1], [-1, -1]], [[1, 1], [2, 2]], [[0, 0], [0, 0]]])
    found = fit_weights(classes, (classes == 0).astype(float))
    assert found.num_right == 1
    assert found.weights_E == pytest.approx([0.5, 0.5])


def test_shares_are_of_all_draws():
    assert vote_shares(np.array([[0, 1, -1, -1]]), 2).tolist() == [[0.25, 0.25]]


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="same shape"):
        fit_weights(np.zeros((1, 2, 3), dtype=int), np.zeros((1, 2, 4)))
