import asyncio
from dataclasses import dataclass

import pytest

from nbest.accounting.meter import Meter
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import CapabilityError, EngineError
from nbest.types import (
    Budget,
    Completion,
    Overrides,
    Prompt,
    ReasoningDelta,
    Request,
    SamplingParams,
    ToolCallDelta,
    Usage,
    replace,
)
from scripted import Scripted, prompt_of

PROMPT = prompt_of("سؤال")


@dataclass(eq=False, kw_only=True)
class Seeds(Scripted):
    """Says its seeds; gives at most `honoured` draws a call."""

    honoured: int = 100
    fail_seeds: frozenset[int] = frozenset()
    hang_seeds: frozenset[int] = frozenset()

    async def generate(self, request, on_delta=None):
        if request.params.seed in self.hang_seeds:
            await self.wait(60)
        return await super().generate(request, on_delta)

    def say(self, request):
        seed = request.params.seed or 0
        if seed in self.fail_seeds:
            return EngineError(f"seed {seed} fails")
        if request.n > self.honoured:
            self.max_n = self.honoured
        return [str(seed + i) for i in range(min(request.n, self.honoured))]

    def usage(self, text):
        return Usage(completion=2, calls=1)

    @property
    def calls(self):
        return [r.n for r in self.requests]


def draw(engine, n=5, **how):
    ctx = Context({"policy": engine}, **how)
    request = Request(prompt=PROMPT, n=n, params=SamplingParams(seed=10, max_tokens=10))
    return asyncio.run(ctx.sample([request])), ctx


def test_draw_i_has_seed_plus_i():
    pool, _ = draw(Seeds())
    assert [c.text for c in pool] == ["10", "11", "12", "13", "14"]
    assert [c.params.seed for c in pool] == [10, 11, 12, 13, 14]


@pytest.mark.parametrize("max_n", [1, 2, 3])
def test_a_request_is_split_as_the_engine_needs(max_n):
    engine = Seeds(max_n=max_n, honoured=max_n)
    pool, _ = draw(engine)
    assert [c.text for c in pool] == ["10", "11", "12", "13", "14"]
    assert max(engine.calls) <= max_n


@pytest.mark.parametrize("honoured", [1, 2])
def test_an_engine_that_gives_fewer_is_asked_for_the_rest(honoured):
    engine = Seeds(honoured=honoured)
    pool, _ = draw(engine)
    assert [c.text for c in pool] == ["10", "11", "12", "13", "14"]
    assert engine.calls[0] == 5


def test_an_engine_that_gives_nothing_leaves_failed_draws_that_say_so():
    engine = Seeds(honoured=0)
    pool, ctx = draw(engine, n=2)
    assert [c.error for c in pool] == ["the engine returned fewer draws than asked for"] * 2
    assert (engine.calls, ctx.stopped) == ([2], "done")


def test_one_failing_call_costs_its_draw_only():
    pool, _ = draw(Seeds(max_n=1, fail_seeds=frozenset({12})))
    assert [c.error for c in pool] == [None, None, "seed 12 fails", None, None]


def test_at_the_deadline_what_is_there_is_kept_and_the_rest_cancelled():
    engine = Seeds(max_n=1, hang_seeds=frozenset({11, 13}))
    pool, ctx = draw(engine, budget=Budget(seconds=0.1))
    assert [c.text for c in pool] == ["10", "", "12", "", "14"]
    assert [bool(c.error) for c in pool] == [False, True, False, True, False]
    assert ctx.stopped == "deadline"
    assert engine.num_cancelled == 2


def test_the_sample_budget_cuts_the_request():
    pool, ctx = draw(Seeds(), budget=Budget(samples=3))
    assert [c.text for c in pool] == ["10", "11", "12"]
    assert ctx.stopped == "budget"


def test_unused_tokens_of_a_grant_may_be_spent_later():
    ctx = Context({"policy": Seeds()}, budget=Budget(tokens=20))
    request = Request(prompt=PROMPT, n=2, params=SamplingParams(seed=10, max_tokens=10))

    async def twice():
        return [len(await ctx.sample([request])) for _ in range(3)]

    # 2 draws of 2 tokens each leave 16: one draw at its worst case of 10, and the other when that has come back.
    assert asyncio.run(twice()) == [2, 2, 2]
    assert ctx.stopped == "done"


def test_what_a_judge_says_is_no_candidate():
    ctx = Context({"policy": Fake(), "judge": Seeds()})
    request = Request(prompt=PROMPT, role="judge", params=SamplingParams(seed=1))
    [[verdict]] = asyncio.run(ctx.complete([request]))
    assert verdict.text == "1"
    assert ctx.candidates == []
    assert set(ctx.meter.usage) == {"judge"}


def test_a_role_without_an_engine_falls_back_to_the_policy():
    engine = Seeds()
    assert Context({"policy": engine}).engine_for("judge") is engine


def test_an_unknown_engine_name_is_said():
    with pytest.raises(CapabilityError, match="engines: policy"):
        Context({"policy": Fake()}).engine_for("policy", "other")


def test_randomness_depends_on_seed_prompt_and_purpose_only():
    def number(seed, prompt_id, purpose):
        return Context({}, seed=seed, prompt_id=prompt_id).random(purpose).random()

    assert number(1, "a", "x") == number(1, "a", "x")
    assert len({number(s, p, w) for s in (1, 2) for p in "ab" for w in "xy"}) == 8


def test_a_bug_in_an_engine_is_not_hidden():
    class Broken(Seeds):
        async def generate(self, request):
            raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        draw(Broken())
    with pytest.raises(KeyError, match="oops"):
        draw(Broken(max_n=1))
    with pytest.raises(KeyError, match="oops"):
        draw(Broken(), budget=Budget(seconds=1))


def quorum(engine, quorum, n=5, **how):
    ctx = Context({"policy": engine}, **how)
    request = Request(prompt=PROMPT, n=n, params=SamplingParams(seed=10, max_tokens=10))
    return asyncio.run(ctx.sample([request], quorum=quorum)), ctx


def test_a_quorum_cancels_the_other_draws_and_records_them():
    engine = Seeds(hang_seeds=frozenset({11, 13}))
    pool, ctx = quorum(engine, 3)
    assert [c.text for c in pool] == ["10", "", "12", "", "14"]
    assert [c.params.seed for c in pool] == [10, 11, 12, 13, 14]
    assert [c.error for c in pool if c.error] == ["cancelled: the quorum was reached without it"] * 2
    assert engine.num_cancelled == 2
    assert ctx.stopped == "done"
    assert ctx.candidates == pool


def test_failed_draws_do_not_count_towards_a_quorum():
    pool, ctx = quorum(
        Seeds(hang_seeds=frozenset({11}), fail_seeds=frozenset({10, 12, 13})),
        2,
        budget=Budget(seconds=0.1),
    )
    assert [c.error for c in pool] == [
        "seed 10 fails",
        "not there at the deadline",
        "seed 12 fails",
        "seed 13 fails",
        None,
    ]
    assert ctx.stopped == "deadline"


def test_a_quorum_larger_than_the_pool_waits_for_all():
    assert [c.text for c in quorum(Seeds(), 9)[0]] == ["10", "11", "12", "13", "14"]


def test_a_token_budget_is_spent_in_waves_until_it_is_spent():
    engine = Seeds()
    ctx = Context({"policy": engine}, budget=Budget(tokens=40))
    request = Request(prompt=PROMPT, n=8, params=SamplingParams(seed=10, max_tokens=10))
    pool = asyncio.run(ctx.sample([request]))
    assert [c.text for c in pool] == [str(10 + i) for i in range(8)]
    assert [r.n for r in engine.requests] == [4, 3, 1]  # 40, then 32, then 26 tokens are left
    assert ctx.stopped == "done"

    ctx = Context({"policy": Seeds()}, budget=Budget(tokens=25))
    many = replace(request, n=30)
    pool = asyncio.run(ctx.sample([many]))
    assert (len(pool), ctx.tokens_left, ctx.stopped) == (13, 0, "budget")
    assert ctx.notes[-1] == "the token budget had no room for 17 more draws"


def test_a_cancelled_draw_gives_back_what_it_is_not_supposed_to_have_drawn():
    engine = Seeds(hang_seeds=frozenset({11}))
    ctx = Context({"policy": engine}, budget=Budget(tokens=30))
    request = Request(prompt=PROMPT, n=2, params=SamplingParams(seed=10, max_tokens=10))

    async def twice():
        first = await ctx.sample([request], quorum=1)
        return first, await ctx.sample([Request(prompt=PROMPT, n=5, params=request.params)])

    first, second = asyncio.run(twice())
    assert [bool(c.error) for c in first] == [False, True]
    assert len(second) == 5  # 30 − 2 drawn − at most 8 of a draw that had hardly begun leave room for 10 of 2
    assert first[1].usage.estimated_completion == first[1].usage.completion < 8


def test_a_bug_in_a_quorum_is_not_hidden():
    class Broken(Seeds):
        async def generate(self, request):
            raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        quorum(Broken(), 2)


async def test_a_stop_string_that_ended_a_draw_is_on_its_candidate_and_it_can_be_amended():
    ctx = Context({"policy": Fake()})
    prompt = prompt_of("2 + 3 = ?")
    request = Request(prompt=prompt, params=SamplingParams(seed=1, stop=("\n",)))
    [first, second] = await ctx.sample([request, replace(request, params=SamplingParams(seed=1))])
    assert (first.stopped_by, second.stopped_by) == ("\n", None)
    step = replace(first, text=first.text + "\n", finish="step")
    ctx.amend([step])
    assert ctx.candidates == [step, second]


def test_what_a_budget_can_grant_counts_every_draw_at_its_worst():
    request = Request(prompt=Prompt(id="p", messages=()), n=3, params=SamplingParams(max_tokens=10))
    for budget, can in [
        (Budget(), True),
        (Budget(samples=3), True),
        (Budget(samples=2), False),
        (Budget(tokens=30), True),
        (Budget(tokens=29), False),
        (Budget(seconds=0), False),
    ]:
        assert Context({"policy": Fake()}, budget=budget).can_grant([request]) == can
    assert Context({}, budget=Budget(samples=2)).samples_left == 2
    assert Context({}).samples_left is None


def test_what_is_held_back_of_a_budget_is_there_again_later():
    ctx = Context({"policy": Fake()}, budget=Budget(samples=3, tokens=30))
    request = Request(prompt=PROMPT, n=3, params=SamplingParams(max_tokens=10))
    with ctx.held_back(1, 12):
        assert (ctx.samples_left, ctx.tokens_left, ctx.can_grant([request])) == (2, 18, False)
        assert len(asyncio.run(ctx.complete([request]))[0]) == 1  # 18 tokens
    assert ctx.samples_left == 2
    with ctx.held_back(9, 99):
        assert asyncio.run(ctx.sample([request])) == []
    assert ctx.can_grant([request.part(0, 2)])
    assert Context({}).tokens_left is None


def test_the_others_have_a_grace_after_the_quorum():
    @dataclass
    class Slow(Seeds):
        async def generate(self, request):
            await asyncio.sleep({10: 0, 11: 0.2, 12: 0.25, 13: 0.7}[request.params.seed])
            return await super().generate(request)

    ctx = Context({"policy": Slow()})
    request = Request(prompt=PROMPT, n=4, params=SamplingParams(seed=10, max_tokens=10))
    # Until 0.35 s, 0.75 times as long as the quorum took: the third, not the fourth.
    pool = asyncio.run(ctx.sample([request], quorum=2, grace=0.75))
    assert [c.text for c in pool] == ["10", "11", "12", ""]


class Observer:
    wants_deltas = True

    def __init__(self):
        self.deltas, self.calls = [], []
        self.meter = Meter()

    def on_completions(self, request, completions):
        self.calls.append((request.role, len(completions)))

    def on_error(self, request, error):
        self.calls.append((request.role, str(error)))

    def on_cut(self, request, usage):
        self.calls.append((request.role, usage))

    def on_delta(self, delta):
        self.deltas.append(delta)

    def short(self):
        """The calls; what the cut ones may have cost is left out."""
        return [(role, "cut" if isinstance(what, Usage) else what) for role, what in self.calls]


class Writing(Seeds):
    """Streams `لا 四 นั่น` word by word."""

    async def generate(self, request, on_delta=None):
        words = ["لا ", "四 ", "นั่น"]
        for word in words if on_delta else ():
            on_delta(word)
        return [Completion(text="".join(words))] * request.n


def streamed(requests, **how):
    observer = Observer()
    ctx = Context({"policy": Writing()}, observer=observer)
    asyncio.run(ctx.sample(requests, **how))
    return observer, ctx


def test_the_answer_is_streamed():
    observer, ctx = streamed([Request(prompt=PROMPT)], is_answer=True)
    assert observer.deltas == ["لا ", "四 ", "นั่น"]
    assert ctx.emitted == "لا 四 นั่น" == ctx.candidates[0].text
    assert (ctx.candidates[0].finish, ctx.stopped) == ("stop", "done")
    assert observer.calls == [("policy", 1)]


def test_what_may_not_be_the_answer_is_not_streamed():
    assert streamed([Request(prompt=PROMPT)])[0].deltas == []
    assert streamed([Request(prompt=PROMPT, n=2)], is_answer=True)[0].deltas == []
    assert streamed([Request(prompt=PROMPT)] * 2, is_answer=True)[0].deltas == []


@pytest.mark.parametrize(("kind", "num_deltas"), [("json_object", 0), ("text", 3)])
def test_what_a_format_may_set_aside_is_not_streamed_where_others_are_there(kind, num_deltas):
    prompt = replace(PROMPT, overrides=Overrides(body={"response_format": {"type": kind}}))
    observer = Observer()
    ctx = Context({"policy": Writing()}, observer=observer)
    asyncio.run(ctx.sample([Request(prompt=prompt, n=2)]))
    asyncio.run(ctx.sample([Request(prompt=prompt, role="fusor")], is_answer=True))
    assert len(observer.deltas) == num_deltas


def test_a_prefix_is_emitted_once_and_only_where_it_continues_what_was_emitted():
    observer = Observer()
    ctx = Context({"policy": Writing()}, observer=observer)
    first = Request(prompt=PROMPT, prefix="答：")
    asyncio.run(ctx.sample([first], is_answer=True))
    asyncio.run(ctx.sample([replace(first, prefix="答：لا 四 นั่น\n")], is_answer=True))
    assert "".join(observer.deltas) == "答：لا 四 นั่น\nلا 四 นั่น" == ctx.candidates[1].text
    asyncio.run(ctx.sample([replace(first, prefix="其他")], is_answer=True))
    assert "".join(observer.deltas) == "答：لا 四 นั่น\nلا 四 นั่น"


class Calling(Seeds):
    """Streams reasoning, a text and a tool call."""

    async def generate(self, request, on_delta=None):
        for delta in DELTAS if on_delta else ():
            on_delta(delta)
        return [Completion(text="да", reasoning="думаю")] * request.n


DELTAS = (ReasoningDelta(text="думаю"), "да", ToolCallDelta(index=0, id="c", name="f"))


@pytest.mark.parametrize("num_before", [0, 1])
def test_a_call_is_streamed_only_where_nothing_was_drawn_before(num_before):
    """Text and reasoning always are: a text can be continued, a call cannot be taken back."""
    observer = Observer()
    ctx = Context({"policy": Calling()}, observer=observer)
    for _ in range(num_before):
        asyncio.run(ctx.sample([Request(prompt=PROMPT)]))
    asyncio.run(ctx.sample([Request(prompt=PROMPT)], is_answer=True))
    assert tuple(observer.deltas) == DELTAS[: len(DELTAS) - num_before]


def test_the_observer_is_given_the_error_of_a_failed_call():
    observer = Observer()
    ctx = Context({"policy": Seeds(fail_seeds=frozenset({10}))}, observer=observer)
    request = Request(prompt=PROMPT, params=SamplingParams(seed=10))
    asyncio.run(ctx.sample([request]))
    assert observer.calls == [("policy", "seed 10 fails"), ("policy", 1)]


class SlowAfterAWord(Writing):
    async def generate(self, request, on_delta=None):
        on_delta("หนึ่ง ")
        await asyncio.sleep(60)


def test_at_the_deadline_what_was_emitted_is_a_truncated_answer():
    observer = Observer()
    ctx = Context({"policy": SlowAfterAWord()}, observer=observer, budget=Budget(seconds=0.05))
    [cut] = asyncio.run(ctx.sample([Request(prompt=PROMPT)], is_answer=True))
    assert (cut.text, cut.finish, cut.error, ctx.stopped) == ("หนึ่ง ", "length", None, "deadline")
    read = -(-len(PROMPT.text.encode()) // 4)
    estimated = Usage(prompt=read, completion=4, calls=1, estimated_prompt=read, estimated_completion=4)
    assert ctx.meter.usage == {"policy": estimated} == {"policy": cut.usage}
    assert ctx.notes == ["a stream was cut at the deadline: its tokens are estimated"]
    assert observer.calls == [("policy", estimated)]


def test_the_prompt_of_a_continuation_that_was_cut_is_estimated_with_its_prefix():
    ctx = Context({"policy": SlowAfterAWord()}, observer=Observer(), budget=Budget(seconds=0.05))
    request = Request(prompt=PROMPT, prefix="คำตอบคือ ")
    [cut] = asyncio.run(ctx.sample([request], is_answer=True))
    assert cut.text == "คำตอบคือ หนึ่ง "
    read = -(-len((PROMPT.text + "คำตอบคือ ").encode()) // 4)
    assert (cut.usage.prompt, cut.usage.completion, cut.usage.calls) == (read, 4, 1)


@pytest.mark.parametrize(
    ("how", "max_n", "hang_seed", "calls"),
    [
        ({}, None, 10, [("policy", "cut")]),
        ({}, 2, 12, [("policy", 2), ("policy", "cut")]),
        ({"quorum": 4}, None, 12, [*[("policy", 1)] * 3, ("policy", "cut")]),
        ({"quorum": 3}, None, 12, [*[("policy", 1)] * 3, ("policy", "cut")]),
    ],
)
def test_every_draw_is_either_reported_or_said_to_be_cut(how, max_n, hang_seed, calls):
    observer = Observer()
    engine = Seeds(hang_seeds=frozenset({hang_seed}), max_n=max_n)
    ctx = Context({"policy": engine}, observer=observer, budget=Budget(seconds=0.1))
    request = Request(prompt=PROMPT, n=4, params=SamplingParams(seed=10, max_tokens=10))
    pool = asyncio.run(ctx.sample([request], **how))
    assert observer.short() == calls
    assert len(pool) == 4


@pytest.mark.parametrize("num_before", [0, 1])
def test_a_stream_that_was_cut_before_its_first_text_is_said_to_be_cut(num_before):
    observer = Observer()
    engine = Seeds(hang_seeds=frozenset({20}))
    ctx = Context({"policy": engine}, observer=observer, budget=Budget(seconds=0.1))

    async def ask():
        if num_before:
            await ctx.sample([Request(prompt=PROMPT, params=SamplingParams(seed=10))])
        request = Request(prompt=PROMPT, params=SamplingParams(seed=20))
        return await ctx.sample([request], is_answer=True)

    [lost] = asyncio.run(ask())
    assert lost.error == "not there at the deadline"
    assert observer.short() == [*[("policy", 1)] * num_before, ("policy", "cut")]
