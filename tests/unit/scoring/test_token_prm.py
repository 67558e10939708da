import asyncio
import time
from math import isclose, log

import pytest

from judges import pool_of
from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import CapabilityError, EngineError, SpecError
from nbest.protocols import Capabilities
from nbest.scoring.rollouts import Rollouts
from nbest.scoring.token_prm import TokenPrm
from nbest.types import (
    Budget,
    Candidate,
    Completion,
    Logprobs,
    Message,
    Overrides,
    Prompt,
    Usage,
    replace,
)
from scripted import Scripted

PROMPT = Prompt(
    id="p", messages=(Message(role="user", content="ユキはりんごを３個持っています。"),), language="ja"
)


def token(good, bad, **names):
    top = {names.get("plus", "+"): log(good), names.get("minus", "-"): log(bad)}
    return Completion(
        text="+",
        finish="length",
        usage=Usage(prompt=9, completion=1, calls=1),
        logprobs=Logprobs(tokens=("+",), values=(-1.0,), top=(top,)),
    )


def by_last_turn(request):
    """A step with a 9 in it is wrong."""
    return token(0.1, 0.3) if "9" in request.prompt.messages[-1].content else token(0.6, 0.2)


def score(pool, scorer=None, say=by_last_turn, **how):
    verifier = Scripted(say)
    ctx = Context({"policy": Fake(), "verifier": verifier}, **how)
    scores = asyncio.run((scorer or TokenPrm())(PROMPT, pool, ctx))
    return scores, verifier, ctx


def test_the_probability_of_good_after_each_step():
    [s], verifier, ctx = score(pool_of("3\n9\n\n12"))
    assert s.steps == pytest.approx((0.75, 0.25, 0.75))
    assert s.value == pytest.approx(0.75)
    assert ctx.meter.usage == {"verifier": Usage(prompt=27, completion=3, calls=3)}
    assert {r.params.max_tokens for r in verifier.requests} == {1}


@pytest.mark.parametrize(
    ("reduce", "value"), [("min", 0.25), ("product", 0.75 * 0.75 * 0.25), ("mean", 7 / 12)]
)
def test_other_ways_to_reduce(reduce, value):
    [s], _, _ = score(pool_of("3\n9\n12"), TokenPrm(reduce=reduce))
    assert isclose(s.value, value)


def test_rlhflow_makes_each_step_a_turn_that_was_found_good():
    _, verifier, _ = score(pool_of("数：３\n答え：３\n"))
    last = verifier.requests[-1].prompt
    assert [(m.role, m.content) for m in last.messages] == [
        ("user", "ユキはりんごを３個持っています。 数：３"),
        ("assistant", "+"),
        ("user", "答え：３"),
    ]
    assert last.id != PROMPT.id


def test_what_the_client_demands_of_the_answer_is_not_demanded_of_the_verifier():
    verifier = Scripted(by_last_turn)
    asked = replace(PROMPT, overrides=Overrides(body={"response_format": {"type": "json_object"}}))
    ctx = Context({"policy": Fake(), "verifier": verifier})
    asyncio.run(TokenPrm()(asked, pool_of("3"), ctx))
    assert verifier.requests[0].prompt.overrides is None


def test_a_verifier_that_does_not_answer_at_all_is_waited_for_until_the_deadline():
    class Silent(Scripted):
        async def capabilities(self):
            await asyncio.sleep(5)

    ctx = Context({"policy": Fake(), "verifier": Silent("")}, budget=Budget(seconds=0.1))
    for scorer in (TokenPrm(), Rollouts()):
        began = time.monotonic()
        [s] = asyncio.run(scorer(PROMPT, [Candidate(id=0, text="3\n", finish="step")], ctx))
        assert time.monotonic() - began < 2
        assert s.value is None
        assert ctx.stopped == "deadline"
    assert "the deadline forbids the call" in ctx.notes[0]


def test_math_shepherd_marks_the_end_of_each_step():
    _, verifier, _ = score(pool_of("数：３\n答え：３"), TokenPrm(form="math_shepherd"))
    assert [r.prompt.text for r in verifier.requests] == [
        "ユキはりんごを３個持っています。 数：３ ки",
        "ユキはりんごを３個持っています。 数：３ ки\n答え：３ ки",
    ]


def test_any_two_words_will_do():
    say = lambda _: token(0.2, 0.6, plus="▁真", minus="假")  # noqa: E731
    [s], _, _ = score(pool_of("一"), TokenPrm(good="真", bad="假"), say)
    assert s.value == pytest.approx(0.25)


def test_shared_prefixes_are_asked_once_and_remembered():
    verifier = Scripted(by_last_turn)
    ctx = Context({"policy": Fake(), "verifier": verifier})
    scorer = TokenPrm()

    async def search():
        await scorer(PROMPT, [Candidate(id=0, text="a\n", finish="step")], ctx)
        return await scorer(PROMPT, pool_of("a\nb", "a\nc", "a\nb\n"), ctx)

    scores = asyncio.run(search())
    assert len(verifier.requests) == 3
    assert [len(s.steps) for s in scores] == [2, 2, 2]
    assert asyncio.run(TokenPrm(form="math_shepherd")(PROMPT, pool_of("a"), ctx))
    assert len(verifier.requests) == 4


def test_a_prefix_without_a_value_is_not_asked_about_again_either():
    verifier = Scripted(lambda _: token(0.5, 0.5, plus="x", minus="y"))
    ctx = Context({"policy": Fake(), "verifier": verifier})
    for text in ("三\n", "三\n四\n"):
        [s] = asyncio.run(TokenPrm()(PROMPT, [Candidate(id=0, text=text, finish="step")], ctx))
        assert s.value is None
    assert len(verifier.requests) == 2


def test_the_last_step_alone():
    [s, t], verifier, _ = score(pool_of("3\n9", "3\n4\n5"), TokenPrm(every=False))
    assert (s.value, t.value) == pytest.approx((0.25, 0.75))
    assert s.steps == t.steps == ()
    assert len(verifier.requests) == 2


def test_what_cannot_be_asked_has_no_value():
    pool = [*pool_of("3\n4", "5"), Candidate(id=2, text="", error="HTTP 500"), Candidate(id=3, text=" \n")]
    scores, _, ctx = score(pool, budget=Budget(samples=2))
    assert [s.value is None for s in scores] == [False, True, True, True]
    assert "1 of 3 step prefixes have no value; the first: the budget" in ctx.notes[0]


@pytest.mark.parametrize(
    ("say", "why"),
    [(EngineError("down"), "down"), (token(0.5, 0.5, plus="x", minus="y"), "neither '+' nor '-'")],
)
def test_a_verifier_that_does_not_say_gives_no_value_and_a_note(say, why):
    [s], _, ctx = score(pool_of("3"), say=lambda _: say)
    assert s.value is None
    assert why in ctx.notes[0]


def test_an_engine_without_log_probabilities_is_said():
    with pytest.raises(CapabilityError, match="step_judge"):
        score(pool_of("3"), say=lambda _: "+")
    ctx = Context({"policy": Fake(has_logprobs=False)})
    with pytest.raises(CapabilityError, match="step_judge"):
        asyncio.run(TokenPrm()(PROMPT, pool_of("3"), ctx))


def test_no_more_alternatives_than_the_engine_gives():
    verifier = Scripted(by_last_turn)
    verifier.capabilities = lambda: asyncio.sleep(0, Capabilities(max_logprobs=5))
    asyncio.run(TokenPrm()(PROMPT, pool_of("3"), Context({"policy": verifier})))
    assert verifier.requests[0].params.logprobs == 5


def test_the_order_of_candidates_changes_nothing():
    pool = pool_of("3\n9", "3\n4", "9")
    forward, _, _ = score(pool)
    backward, _, _ = score(pool[::-1])
    assert forward == backward[::-1]
    assert replace(forward[0]) == forward[0]


@pytest.mark.parametrize("spec", ["token_prm(every=false, reduce=min)", "token_prm(good='+', bad='+')"])
def test_parameters_that_do_not_fit_are_said(spec):
    with pytest.raises(SpecError):
        registry.parse("scorers", spec)


def test_a_search_that_ends_steps_elsewhere_is_told():
    half = Candidate(id=0, text="ユキは３個", finish="step")
    [s], _, ctx = score([half])
    assert s.value == pytest.approx(0.75)
    assert "token_prm reads steps of split=line" in ctx.notes[0]
