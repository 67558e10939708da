import asyncio

import pytest

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.scoring.reference_oracle import ReferenceOracle
from nbest.types import Candidate
from nbest.utilities.chrf import Chrf
from scripted import prompt_of

PROMPT = prompt_of("翻译：A red apple.", "zh")
POOL = [Candidate(id=i, text=t) for i, t in enumerate(["一个红苹果。", "红色的车。", ""])]


def values(gold, pool=POOL):
    ctx = Context({}, gold=gold)
    return [s.value for s in asyncio.run(ReferenceOracle(utility=Chrf())(PROMPT, pool, ctx))]


def test_one_reference():
    right, wrong, empty = values({"reference": "一个红苹果。"})
    assert right == 100
    assert 0 < wrong < 100
    assert empty == 0


def test_of_several_references_the_best_counts():
    assert values({"reference": ["一只红苹果。", "一个红苹果。"]})[0] == 100


def test_an_empty_pool_has_no_scores():
    assert values({"reference": "一"}, pool=[]) == []


@pytest.mark.parametrize("gold", [{}, {"reference": []}, {"answer": "12"}])
def test_a_row_without_a_reference_is_said(gold):
    with pytest.raises(CapabilityError, match="`reference`"):
        values(gold)
