"""Outcomes of prompts, and choices from recorded pools."""

import asyncio

import pytest

from nbest.datasets import Item, Pool, read_pools
from nbest.engines.fake import Fake
from nbest.errors import RecordsError
from nbest.records import RunWriter
from nbest.registry import parse
from nbest.run import ask, run_all, select
from nbest.types import Budget, Candidate, Message, Prompt, Usage
from scripted import prompt_of

PROMPT = prompt_of("३ + २ =", "hi")
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


@pytest.mark.parametrize("concurrency", [1, 2, 3, 9])
async def test_so_many_prompts_are_worked_on_at_once_and_no_more(concurrency):
    items = [Item(prompt_of("?", id=str(i)), {}) for i in range(5)]
    under_way = set()
    most = 0

    async def work(item):
        nonlocal most
        under_way.add(item.prompt.id)
        most = max(most, len(under_way))
        await asyncio.sleep(0.01)
        under_way.remove(item.prompt.id)
        return await ask(item.prompt, parse("strategies", "parallel(sampler=iid(n=1))"), {"policy": Fake()})

    done = []
    await run_all(items, work, concurrency=concurrency, on_outcome=done.append)
    assert most == min(concurrency, len(items))
    assert {outcome.prompt.id for outcome in done} == {item.prompt.id for item in items}


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


@pytest.mark.parametrize(
    ("budget", "stopped"), [(Budget(samples=0), "budget"), (Budget(seconds=0), "deadline")]
)
async def test_a_prompt_without_a_draw_says_what_left_none(budget, stopped):
    outcome = await ask(PROMPT, parse("strategies", "parallel"), {"policy": Fake()}, budget=budget)
    assert (outcome.stopped, outcome.selection) == (stopped, None)
    assert "no candidate was drawn" in outcome.error


POOL = Pool(
    Prompt(id="q", messages=(Message(role="user", content="卵はいくつ？"),), language="ja"),
    {"answer": "4"},
    (
        Candidate(id=0, text="答え：4", usage=Usage(prompt=9, completion=3, calls=1)),
        Candidate(id=1, text="5"),
    ),
)


async def test_selecting_from_a_run_keeps_all_that_was_spent_by_role(tmp_path):
    spent = {
        "policy": Usage(prompt=9, completion=7, calls=1),
        "verifier": Usage(prompt=50, cached=20, completion=2, calls=4),
    }
    first = await select(POOL._replace(usage=spent), parse("selectors", "first"))
    assert first.usage == spent
    with RunWriter(tmp_path / "run", {}) as writer:
        writer.append(first)
    (read,) = read_pools(str(tmp_path / "run"))
    assert (await select(read, parse("selectors", "vote"))).usage == spent
    assert (await select(POOL, parse("selectors", "vote"))).usage == {"policy": POOL.candidates[0].usage}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (POOL._replace(gold={"answer": "5"}), "other answer, reference or other columns"),
        (POOL._replace(gold={"answer": "4", "reference": "四"}), "other answer, reference or other columns"),
        (POOL._replace(candidates=(POOL.candidates[0],) * 2), "other candidates"),
        (POOL._replace(candidates=(*POOL.candidates, Candidate(id=2, text="六"))), "other candidates"),
        (Item(POOL.prompt, {}), "other answer"),
    ],
)
async def test_a_run_is_not_continued_with_other_candidates_or_gold(tmp_path, changed, message):
    async def work(pool):
        return await select(pool, parse("selectors", "first"))

    with RunWriter(tmp_path / "run", {}) as writer:
        await run_all([POOL], work, out=writer)
    with RunWriter(tmp_path / "run", {}) as writer:
        await run_all([POOL], work, out=writer)
        with pytest.raises(RecordsError, match=f"'q' had {message}"):
            await run_all([changed], work, out=writer)
