"""Choosing from recorded pools."""

import pytest

from nbest.datasets import Pool
from nbest.registry import parse
from nbest.run import select
from nbest.types import Candidate, Message, Prompt

PROMPT = Prompt(id="p", messages=(Message(role="user", content="३ + २ ="),), language="hi")
STEPS = [Candidate(id=i, text="संख्याएँ: ३", finish="step") for i in range(3)]
ANSWERS = [Candidate(id=3 + i, text="संख्याएँ: ३\nउत्तर: ५", parents=(i,)) for i in range(2)]


@pytest.mark.parametrize("spec", ["first", "vote", "mbr", "random", "guard(selector=vote)"])
async def test_steps_of_a_search_do_not_compete_with_its_answers(spec):
    pool = Pool(PROMPT, {}, (*STEPS, *ANSWERS))
    outcome = await select(pool, parse("selectors", spec))
    assert outcome.selection.winner in ANSWERS
    assert len(outcome.candidates) == 5  # the record stays whole


async def test_of_a_search_without_an_answer_a_step_is_chosen():
    outcome = await select(Pool(PROMPT, {}, tuple(STEPS)), parse("selectors", "vote"))
    assert outcome.selection.winner == STEPS[0]
