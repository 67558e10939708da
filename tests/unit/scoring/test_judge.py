import asyncio
from math import isclose, log

import pytest

from judges import is_repair, pool_of, shown
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import CapabilityError, EngineError
from nbest.protocols import Capabilities
from nbest.scoring.judge import Judge
from nbest.selection.best import Best
from nbest.types import Budget, Completion, Logprobs, replace
from scripted import PROMPT, Scripted

POOL = pool_of("7 + 5 = 12", "十三", "???")


def score(say, scorer=None, prompt=PROMPT, pool=POOL, **how):
    judge = Scripted(say)
    ctx = Context({"policy": Fake(), "judge": judge}, **how)
    scores = asyncio.run((scorer or Judge())(prompt, pool, ctx))
    return [s.value for s in scores], judge, ctx


def test_each_candidate_is_judged_by_itself():
    marks = {"7 + 5 = 12": "Right.\n[[10]]", "十三": "錯。\n［［２］］", "???": "لا فائدة منها\n[[١]]"}
    values, judge, ctx = score(lambda r: marks[shown(r)["1"]])
    assert values == [10.0, 2.0, 1.0]
    assert len(judge.requests) == 3
    assert ctx.notes == []


@pytest.mark.parametrize("bad", ["I like it", "[[11]]", "[[8/10]]", "[[3]] or [[4]]", "", EngineError("x")])
def test_a_verdict_that_cannot_be_had_is_a_score_without_value(bad):
    values, judge, ctx = score(lambda r: bad if shown(r)["1"] == "???" else "[[5]]")
    assert values == [5.0, 5.0, None]
    assert len(judge.requests) == (3 if isinstance(bad, EngineError) else 4)
    assert ctx.notes[0].startswith("judge: 1 of 3 distinct candidates have no score")


def test_a_repair_gives_the_score():
    values, _, _ = score(lambda r: "[[7]]" if is_repair(r) else "seven")
    assert values == [7.0, 7.0, 7.0]


def test_a_budget_for_some_scores_those():
    values, _, _ = score(lambda _: "[[7]]", budget=Budget(samples=2))
    assert values == [7.0, 7.0, None]


def test_the_same_text_is_judged_once():
    values, judge, _ = score(lambda _: "[[7]]", pool=pool_of("a", "a", "b", "a"))
    assert values == [7.0] * 4
    assert len(judge.requests) == 2


def test_a_failed_candidate_is_not_judged():
    failed = replace(POOL[0], text="", error="HTTP 500")
    values, judge, ctx = score(lambda _: "[[7]]", pool=[failed, *POOL[1:]])
    assert values == [None, 7.0, 7.0]
    assert len(judge.requests) == 2
    assert ctx.notes == []


def test_an_empty_batch_asks_nothing():
    assert score(lambda _: "[[7]]", pool=[])[0] == []


def test_best_of_n_takes_the_highest():
    judge = Scripted(lambda r: "[[9]]" if shown(r)["1"] == "十三" else "[[8]]")
    ctx = Context({"policy": Fake(), "judge": judge})
    assert asyncio.run(Best(scorer=Judge())(PROMPT, POOL, ctx)).winner.id == 1


def next_token(**shares):
    top = {token: log(p) for token, p in shares.items()}
    return Completion(text="?", finish="length", logprobs=Logprobs(tokens=("?",), values=(-1.0,), top=(top,)))


@pytest.mark.parametrize(
    ("language", "shares", "expected"),
    [
        ("en", {" Yes": 0.6, "No": 0.1, "yes": 0.2, "Maybe": 0.1}, 0.8 / 0.9),
        ("de", {"Ja": 0.3, "Ne": 0.1, "▁nein": 0.2}, 0.5),
        ("ar", {"نعم": 0.5, "لا": 0.25}, 2 / 3),
        ("ja", {"は": 0.2, "いい": 0.6, "いいえ": 0.2}, 0.2),
        ("zh", {"是": 0.9, "否": 0.05, "不": 0.05}, 0.9),
        ("hi", {"हाँ": 0.4, "नहीं": 0.1}, 0.8),
        ("th", {"ไม่": 0.3, "ใช่": 0.1}, 0.25),
        ("ko", {"아니": 0.3, "예": 0.3}, 0.5),
        ("ru", {"Да": 0.7, "Нет": 0.1, "?": 0.2}, 0.875),
        ("en", {"Perhaps": 1.0}, None),
    ],
)
def test_yes_and_no_are_the_languages_own_words(language, shares, expected):
    prompt = replace(PROMPT, language=language)
    scorer = Judge(mode="yes_no", template_language="prompt")
    [value], judge, _ = score(lambda _: next_token(**shares), scorer, prompt, POOL[:1])
    assert (value is None) if expected is None else isclose(value, expected)
    assert judge.requests[0].params.max_tokens == 1
    assert judge.requests[0].params.logprobs == 20


def test_a_judge_without_logprobs_is_said():
    with pytest.raises(CapabilityError, match="mode=score"):
        score(lambda _: "Yes", Judge(mode="yes_no"))


def test_an_engine_known_to_have_no_logprobs_is_not_asked():
    ctx = Context({"policy": Fake(has_logprobs=False)})
    with pytest.raises(CapabilityError, match="mode=score"):
        asyncio.run(Judge(mode="yes_no")(PROMPT, POOL, ctx))
    assert ctx.meter.usage == {}


def test_no_more_logprobs_are_asked_for_than_the_engine_gives():
    judge = Scripted(lambda _: next_token(Yes=0.5, No=0.5))
    judge.capabilities = lambda: asyncio.sleep(0, Capabilities(max_logprobs=5))
    asyncio.run(Judge(mode="yes_no")(PROMPT, POOL, Context({"policy": judge})))
    assert {r.params.logprobs for r in judge.requests} == {5}


def test_a_failing_judge_gives_no_yes_and_no_crash():
    values, _, ctx = score(lambda _: EngineError("down"), Judge(mode="yes_no"))
    assert values == [None, None, None]
    assert "down" in ctx.notes[0]
