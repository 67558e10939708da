from math import nan
from random import Random

import pytest

from nbest import registry
from nbest.errors import SpecError
from nbest.sampling.ladder import Ladder
from nbest.types import Message, Prompt

PROMPT = Prompt(id="p", messages=(Message(role="user", content="?"),))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_temperatures_are_spread_evenly_from_low_to_high(n):
    plan = Ladder(n=n, low=0.2, high=1.0)(PROMPT, Random(1))
    temperatures = [r.params.temperature for r in plan]
    assert temperatures == pytest.approx([0.2 + 0.8 * i / max(1, n - 1) for i in range(n)])


def test_a_list_is_taken_in_turn():
    plan = Ladder(n=3, temperatures=(0.1, 0.9))(PROMPT, Random(1))
    assert [r.params.temperature for r in plan] == [0.1, 0.9, 0.1]


@pytest.mark.parametrize("temperatures", [(-0.1,), (0.5, float("inf")), (nan,)])
def test_a_temperature_that_cannot_be_is_refused_when_it_is_given(temperatures):
    with pytest.raises(ValueError, match="temperature"):
        Ladder(temperatures=temperatures)


def test_so_it_is_in_a_spec():
    with pytest.raises(SpecError, match="temperature"):
        registry.parse("samplers", "ladder(temperatures=[0.5, -1])")
