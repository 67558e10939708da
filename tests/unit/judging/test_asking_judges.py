"""What becomes of a question: answered, asked once more, or neither."""

import pytest

from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import EngineError
from nbest.judging.judge_calls import ask
from nbest.judging.judge_questions import Question
from nbest.judging.verdict_forms import numbers
from nbest.types import Budget, Completion, Request, SamplingParams
from scripted import Scripted, prompt_of

ASKED = Question(
    Request(prompt=prompt_of("哪个更好？"), role="judge", params=SamplingParams(max_tokens=9)),
    repair="Nur das Urteil, bitte.",
    form=numbers(2),
)


async def asked(*replies, questions=1, budget=None, repair=ASKED.repair):
    """The replies to equal questions, and the turns of each call; call i is answered by `replies[i]`."""
    judge = Scripted(lambda _: replies[len(judge.requests) - 1])
    ctx = Context({"policy": Fake(), "judge": judge}, budget=budget)
    found = await ask([ASKED._replace(repair=repair)] * questions, ctx)
    return found, [[m.content for m in request.prompt.messages] for request in judge.requests]


@pytest.mark.parametrize("reply", ["so: [[2]]", Completion(text="so: [[2]]")])
async def test_a_verdict_is_read_and_not_asked_for_again(reply):
    [found], turns = await asked(reply)
    assert (found.verdict, found.problem, found.is_repaired, found.is_answered) == (2, None, False, True)
    assert turns == [["哪个更好？"]]


@pytest.mark.parametrize("first", ["hm", "", "[[7]]", Completion(text="[[1]] und", finish="length")])
async def test_a_reply_without_a_verdict_is_quoted_and_asked_for_once_more(first):
    [found], turns = await asked(first, "[[2]]")
    text = first if isinstance(first, str) else first.text
    assert (found.verdict, found.problem, found.is_repaired, found.is_answered) == (2, None, True, True)
    assert turns[1] == ["哪个更好？", text or "…", "Nur das Urteil, bitte."]
    assert found.text == f"{text}\n\n[[2]]".strip()


async def test_two_replies_without_a_verdict_say_both_problems():
    [found], turns = await asked(Completion(text="so", finish="length"), "hm")
    assert (found.verdict, found.is_repaired, found.is_answered) == (None, True, True)
    assert found.problem.startswith("the reply was cut off at max_tokens; when asked again: ")
    assert len(turns) == 2


async def test_without_a_repair_turn_nothing_is_asked_again():
    [found], turns = await asked("hm", repair="")
    assert (found.verdict, found.is_repaired, found.is_answered) == (None, False, True)
    assert len(turns) == 1


async def test_a_judge_that_fails_is_not_asked_again_and_has_not_answered():
    [found], turns = await asked(EngineError("überlastet"))
    assert (found.verdict, found.is_repaired, found.is_answered) == (None, False, False)
    assert found.problem == "the judge failed: überlastet"
    assert len(turns) == 1


@pytest.mark.parametrize(
    ("samples", "num_calls", "answered"),
    [(0, 0, [False, False]), (1, 1, [True, False]), (2, 2, [True, True])],
)
async def test_what_the_budget_forbids_has_not_been_answered(samples, num_calls, answered):
    found, turns = await asked("[[1]]", "[[1]]", questions=2, budget=Budget(samples=samples))
    assert [reply.is_answered for reply in found] == answered
    assert [reply.verdict for reply in found] == [1 if is_so else None for is_so in answered]
    forbidden = "the budget or the deadline forbids the call"
    assert [reply.problem for reply in found] == [None if is_so else forbidden for is_so in answered]
    assert len(turns) == num_calls


async def test_a_repair_that_the_budget_forbids_leaves_no_answer():
    [found], _ = await asked("hm", budget=Budget(samples=1))
    assert (found.verdict, found.is_repaired, found.is_answered) == (None, True, False)
    assert found.problem.endswith("when asked again: the budget or the deadline forbids the call")


async def test_only_replies_without_a_verdict_are_asked_for_again():
    found, turns = await asked("[[1]]", "hm", "[[2]]", questions=2)
    assert [(reply.verdict, reply.is_repaired) for reply in found] == [(1, False), (2, True)]
    assert [len(turn) for turn in turns] == [1, 1, 3]
