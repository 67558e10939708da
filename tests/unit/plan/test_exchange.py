"""What a small model may draw for the FLOPs of a larger one."""

from math import inf

import pytest

from nbest.plan.exchange import (
    PAPER_RATIOS,
    affordable_draws,
    inference_multiplier,
    price_multiplier,
    traffic_ratio_of,
)


@pytest.mark.parametrize("size_ratio", [1, 2, 14, 70])
@pytest.mark.parametrize("traffic_ratio", [*PAPER_RATIOS, 1e9])
def test_both_sides_cost_the_same_flops(size_ratio, traffic_ratio):
    params, pretraining = 3e9, 1e12
    inference = traffic_ratio * pretraining
    large = size_ratio * (6 * params * pretraining + 2 * params * inference)
    multiplier = inference_multiplier(size_ratio, traffic_ratio)
    small = 6 * params * pretraining + 2 * params * inference * multiplier
    assert small == pytest.approx(large)


def test_the_papers_model_of_fourteen_times():
    assert inference_multiplier(14, 0.16) == pytest.approx(257.75)
    assert inference_multiplier(14, 0.79) == pytest.approx(63.367, abs=1e-3)
    assert inference_multiplier(14, 22) == pytest.approx(15.773, abs=1e-3)
    assert inference_multiplier(14, inf) == 14


def test_own_traffic_and_prices():
    assert traffic_ratio_of(inference_tokens=2e12, pretraining_tokens=1e13) == 0.2
    assert price_multiplier(0.25, 1.0) == 4


def test_draws_are_whole_and_of_each_models_own_length():
    assert affordable_draws(4, 1000, 1000) == 4
    assert affordable_draws(4, 1000, 3000) == 1
    assert affordable_draws(4, 1000, 5000) == 0
    assert affordable_draws(0.1 * 3 / 0.3, 7, 1) == 7


@pytest.mark.parametrize(
    "call",
    [
        lambda: inference_multiplier(0.5, 1),
        lambda: inference_multiplier(inf, 1),
        lambda: inference_multiplier(float("nan"), 1),
        lambda: inference_multiplier(2, 0),
        lambda: traffic_ratio_of(inference_tokens=0, pretraining_tokens=1),
        lambda: price_multiplier(1, 0),
        lambda: affordable_draws(1, 0, 1),
    ],
)
def test_what_has_no_exchange(call):
    with pytest.raises(ValueError, match="must be"):
        call()
