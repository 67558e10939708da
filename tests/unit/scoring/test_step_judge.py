import asyncio

import pytest

from judges import is_repair, pool_of, shown
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import EngineError
from nbest.scoring.step_judge import StepJudge
from nbest.types import Candidate
from scripted import PROMPT, Scripted


def score(say, pool, scorer=None):
    verifier = Scripted(say)
    ctx = Context({"policy": Fake(), "verifier": verifier})
    return asyncio.run((scorer or StepJudge())(PROMPT, pool, ctx)), verifier, ctx


def finds(request):
    """The first step that holds a 9."""
    wrong = [int(n) for n, text in shown(request).items() if "9" in text]
    return f"…\n[[{min(wrong, default=0)}]]"


def test_from_the_first_wrong_step_on_nothing_is_worth_anything():
    scores, verifier, ctx = score(finds, pool_of("7 + 5\n= 9\n答案：9", "7 + 5\n= 12", "9"))
    assert [s.steps for s in scores] == [(1.0, 0.0, 0.0), (1.0, 1.0), (0.0,)]
    assert [s.value for s in scores] == [0.0, 1.0, 0.0]
    assert ctx.meter.usage["verifier"].calls == 3
    assert set(shown(verifier.requests[0])) == {"1", "2", "3"}


def test_votes_make_it_a_share():
    said = iter(["[[2]]", "[[0]]", "[[١]]", "[[2]]"])
    [s], verifier, _ = score(lambda _: next(said), pool_of("一\n二"), StepJudge(votes=4, reduce="mean"))
    assert s.steps == (0.75, 0.25)
    assert s.value == 0.5
    assert len({r.params.seed for r in verifier.requests}) == 4
    assert {r.params.temperature for r in verifier.requests} == {0.7}


@pytest.mark.parametrize("bad", ["fine", "[[4]]", "[[-1]]", "[[1]] or [[2]]", EngineError("down")])
def test_an_unreadable_verdict_is_asked_for_once_more_then_no_score(bad):
    [s], verifier, ctx = score(lambda _: bad, pool_of("一\n二\n三"))
    assert s.value is None
    assert s.steps == ()
    assert len(verifier.requests) == (1 if isinstance(bad, EngineError) else 2)
    assert "1 of 1 verdicts are missing" in ctx.notes[0]


def test_a_repair_gives_the_verdict():
    [s], verifier, _ = score(lambda r: "[[0]]" if is_repair(r) else "?", pool_of("一\n二\n三"))
    assert s.value == 1.0
    assert "from 1 to 3, or 0" in verifier.requests[-1].prompt.messages[-1].content


def test_the_same_text_is_judged_once_and_an_empty_one_never():
    pool = [*pool_of("a", "a", " "), Candidate(id=3, text="", error="HTTP 500")]
    scores, verifier, _ = score(lambda _: "[[0]]", pool)
    assert [s.value for s in scores] == [1.0, 1.0, None, None]
    assert len(verifier.requests) == 1
