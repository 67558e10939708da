"""Outcomes of prompts, and choices from recorded pools."""

import pytest

from nbest.datasets import Pool
from nbest.engines.fake import Fake
from nbest.registry import parse
from nbest.run import ask, select
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


class Buggy:
    async def __call__(self, prompt, ctx):
        return 1 // 0


@pytest.mark.internal_errors
async def test_a_programming_error_is_logged_with_its_traceback_and_marked_in_the_outcome(caplog):
    outcome = await ask(PROMPT, Buggy(), {"policy": Fake()})
    assert outcome.error == "internal error: ZeroDivisionError: integer division or modulo by zero"
    assert (outcome.stopped, outcome.selection) == ("error", None)
    [record] = caplog.records
    assert record.exc_info[0] is ZeroDivisionError
    assert "return 1 // 0" in caplog.text


async def test_in_tests_a_programming_error_raises():
    with pytest.raises(ZeroDivisionError):
        await ask(PROMPT, Buggy(), {"policy": Fake()})


async def test_a_failing_model_is_no_internal_error():
    outcome = await ask(PROMPT, parse("strategies", "parallel"), {"policy": Fake(error_rate=1.0)})
    assert "told to fail" in outcome.error
    assert "internal error" not in outcome.error
