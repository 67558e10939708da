"""Draws dealt to engines by weight."""

import pytest

from nbest import registry
from nbest.errors import SpecError
from nbest.sampling.engine_shares import dealt
from nbest.sampling.iid import Iid
from nbest.sampling.mixture import Mixture
from scripted import prompt_of


@pytest.mark.parametrize("weights", [(1, 1, 1), (0.7, 0.2, 0.1), (5, 0, 3), (1e-9, 1), (3,)])
def test_every_engine_is_near_its_share_after_every_draw(weights):
    turns = dealt(weights, 200)
    for n in range(1, 201):
        for e, weight in enumerate(weights):
            assert abs(turns[:n].count(e) - n * weight / sum(weights)) < 1
        assert dealt(weights, n) == turns[:n]


def test_equal_weights_are_turns():
    assert dealt((2, 2, 2), 7) == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize("weights", [(0, 0), (-1, 2), (float("nan"), 1), (float("inf"), 1)])
def test_weights_that_are_no_shares(weights):
    with pytest.raises(ValueError, match="weights must be"):
        dealt(weights, 3)


@pytest.mark.parametrize(
    "text", ["几个？", "كم عددها؟", "कितने?", "何個ですか。", "몇 개?", "Сколько?", "กี่อัน"]
)
def test_a_mixture_draws_by_its_weights(text):
    from random import Random

    sampler = Mixture(sampler=Iid(n=8), engines=("a", "b"), weights=(3, 1))
    plan = sampler(prompt_of(text), Random(0))
    assert [r.engine for r in plan for _ in range(r.n)] == list("aabaaaba")


def test_weights_in_a_spec():
    spec = "mixture(iid(n=4), engines=[a, b], weights=[0.25, 0.75])"
    assert registry.parse("samplers", spec).weights == (0.25, 0.75)
    with pytest.raises(SpecError, match="one for each of the 2 engines, got 1"):
        registry.parse("samplers", "mixture(engines=[a, b], weights=[1])")
    with pytest.raises(SpecError, match="not all 0"):
        registry.parse("samplers", "mixture(engines=[a, b], weights=[0, 0])")
