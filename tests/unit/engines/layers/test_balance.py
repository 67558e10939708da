"""Load balancing: the idlest healthy engine, conversations that stay where their prefix is, active checks."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field

import pytest

from nbest import registry
from nbest.engines.layers import Balance, Retry
from nbest.engines.layers import circuit as circuit_module
from nbest.engines.openai.openai import OpenAI
from nbest.errors import EngineError, EngineHttpError, SpecError, UnreachableError
from nbest.protocols import Capabilities
from nbest.types import Completion, Logprobs, Message, Prompt, Request
from upstream import Upstream

QUESTIONS = {
    "ar": "كم تفاحة لدى سارة؟",
    "en": "How many apples?",
    "hi": "कितने सेब?",
    "ja": "りんごは何個ですか？",
    "ko": "사과가 몇 개입니까?",
    "ru": "Сколько яблок?",
    "th": "มีแอปเปิลกี่ผล",
    "zh": "有几个苹果？",
}


@dataclass(eq=False, kw_only=True)
class Replica:
    """Answers with its name, while `gate` is open; raises `error` where there is one."""

    name: str
    error: EngineError | None = None
    calls: list[Request] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def capabilities(self):
        if self.error:
            raise self.error
        return Capabilities(max_n=5)

    async def generate(self, request, on_delta=None):
        self.calls.append(request)
        if self.gate:
            await self.gate.wait()
        if on_delta and not self.error:
            on_delta(self.name)
        if self.error:
            raise self.error
        return [Completion(text=self.name)] * request.n

    async def logprobs(self, prompt, text):
        return Logprobs(tokens=(text,), values=(-1.0,))

    async def aclose(self):
        pass


def replicas(num, **more):
    return tuple(Replica(name=f"replica-{i}", **more) for i in range(num))


def ask(text="七", n=1, *, later=()):
    first = (Message(role="system", content="Antworte kurz."), Message(role="user", content=text))
    return Request(prompt=Prompt(id="p", messages=(*first, *later)), n=n)


def nums(engines):
    return [len(e.calls) for e in engines]


@contextlib.asynccontextmanager
async def under_way(engine, *requests):
    """While it lasts, the requests are in flight."""
    tasks = [asyncio.create_task(engine.generate(r)) for r in requests]
    await asyncio.sleep(0)
    yield
    for inner in engine.engines:
        inner.gate.set()
    await asyncio.gather(*tasks)


# ── the fewest in flight ────────────────────────────────────────────────────────────────────────────


async def test_calls_that_come_one_by_one_take_turns():
    engines = replicas(3)
    engine = Balance(engines=engines)
    for _ in range(9):
        await engine.generate(ask())
    assert nums(engines) == [3, 3, 3]


async def test_each_call_goes_where_the_fewest_sequences_are_in_flight():
    engines = replicas(2, gate=asyncio.Event())
    engine = Balance(engines=engines)
    async with under_way(engine, ask(n=8), *[ask(n=1)] * 5):
        assert sorted(engine.loads.values()) == [5, 8]
        assert sorted(nums(engines)) == [1, 5]
    assert set(engine.loads.values()) == {0}


async def test_a_cancelled_call_is_not_in_flight_any_more():
    engines = replicas(1, gate=asyncio.Event())
    engine = Balance(engines=engines)
    task = asyncio.create_task(engine.generate(ask(n=4)))
    await asyncio.sleep(0)
    assert engine.loads == {"replica-0": 4}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.loads == {"replica-0": 0}


# ── health ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [UnreachableError("gone"), EngineHttpError("503", status=503)])
async def test_a_sick_engine_costs_no_call_and_is_passed_over(error):
    engines = replicas(3)
    engines[1].error = error
    engine = Balance(engines=engines)
    for _ in range(12):
        assert len(await engine.generate(ask(n=2))) == 2
    assert len(engines[1].calls) == 1
    assert engine.states == {"replica-0": "closed", "replica-1": "open", "replica-2": "closed"}
    assert set(engine.loads.values()) == {0}


@pytest.mark.parametrize("status", [401, 403, 404, 429])
async def test_an_engine_that_takes_no_call_costs_none_and_is_no_sick_one(status):
    engines = replicas(2)
    engines[0].error = EngineHttpError(f"{status}", status=status)
    engine = Balance(engines=engines)
    for _ in range(4):
        assert (await engine.generate(ask()))[0].engine == "replica-1"
    assert engine.states == {"replica-0": "closed", "replica-1": "closed"}


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refused_request_is_not_sent_to_all(status):
    engines = replicas(3)
    for inner in engines:
        inner.error = EngineHttpError(f"{status}", status=status)
    with pytest.raises(EngineHttpError, match=f"{status}"):
        await Balance(engines=engines).generate(ask())
    assert sum(nums(engines)) == 1


async def test_all_failing_is_one_error_that_may_pass():
    engines = replicas(2)
    for inner in engines:
        inner.error = UnreachableError(f"{inner.name} is gone")
    with pytest.raises(EngineError, match=r"replica-. is gone; replica-. is gone") as caught:
        await Balance(engines=engines).generate(ask())
    assert caught.value.is_transient
    assert len(caught.value.causes) == 2


async def test_after_the_cool_down_one_call_tries_it_again(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(circuit_module.time, "monotonic", lambda: now[0])
    engines = replicas(2)
    engines[0].error = UnreachableError("gone")
    engine = Balance(engines=engines, cool_down_s=5.0)
    for _ in range(4):
        await engine.generate(ask())
    now[0] += 6.0
    for _ in range(4):
        await engine.generate(ask())
    assert len(engines[0].calls) == 2
    engines[0].error = None
    now[0] += 11.0  # the cool-down has doubled
    for _ in range(4):
        await engine.generate(ask())
    assert len(engines[0].calls) >= 4


async def test_text_that_was_emitted_is_not_drawn_again():
    class Breaking(Replica):
        async def generate(self, request, on_delta=None):
            self.calls.append(request)
            on_delta("三")
            raise UnreachableError("gone")

    engines = (Breaking(name="a"), Breaking(name="b"))
    deltas = []
    with pytest.raises(UnreachableError):
        await Balance(engines=engines).generate(ask(), deltas.append)
    assert (sum(nums(engines)), deltas) == (1, ["三"])


# ── sticky ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", QUESTIONS)
async def test_a_conversation_stays_with_its_engine(language):
    engines = replicas(4)
    engine = Balance(engines=engines, sticky=True)
    turns = []
    for i in range(5):
        await engine.generate(ask(QUESTIONS[language], n=2, later=tuple(turns)))
        turns += [Message(role="assistant", content=f"{i}"), Message(role="user", content=f"{i}?")]
    assert sorted(nums(engines)) == [0, 0, 0, 5]
    assert await engine.logprobs(ask(QUESTIONS[language]).prompt, "x")


async def test_conversations_spread_and_only_those_of_a_sick_engine_move():
    engines = replicas(4)
    engine = Balance(engines=engines, sticky=True)
    questions = [f"{question} {i}" for question in QUESTIONS.values() for i in range(25)]

    async def places():
        return {q: (await engine.generate(ask(q)))[0].engine for q in questions}

    before = await places()
    assert all(25 <= num <= 75 for num in Counter(before.values()).values())
    engines[2].error = UnreachableError("gone")
    after = await places()
    assert {q for q in questions if before[q] != after[q]} == {
        q for q in questions if before[q] == "replica-2"
    }
    assert len({after[q] for q in questions if before[q] == "replica-2"}) == 3


async def test_another_process_sends_a_conversation_to_the_same_engine():
    drawn = [
        [
            (await Balance(engines=replicas(4), sticky=True).generate(ask(q)))[0].engine
            for q in QUESTIONS.values()
        ]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]


async def test_a_conversation_leaves_an_engine_that_is_too_far_ahead():
    engines = replicas(2, gate=asyncio.Event())
    engine = Balance(engines=engines, sticky=True, max_ahead=6)
    async with under_way(engine, *[ask(n=4)] * 6):
        assert max(engine.loads.values()) > 12
        assert max(engine.loads.values()) - min(engine.loads.values()) <= 6 + 4


# ── active checks ───────────────────────────────────────────────────────────────────────────────────


async def until(is_so):
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_checks_find_a_dead_server_and_its_return():
    async with Upstream() as first, Upstream() as second:
        pair = (Retry(engine=OpenAI(url=first.url), attempts=1), OpenAI(url=second.url))
        engine = Balance(engines=pair, check_s=0.05, cool_down_s=600.0)
        for _ in range(2):
            await engine.generate(ask())
        first.key = "wanted"  # 401 is no fault of the server's: it is there
        await asyncio.sleep(0.15)
        assert set(engine.states.values()) == {"closed"}
        first.key = None
        first.models_status = 503
        await until(lambda: engine.states[pair[0].name] == "open")
        num_before = len(first.bodies)
        for _ in range(4):
            await engine.generate(ask())
        assert len(first.bodies) == num_before, "no call was spent on finding it out"
        first.models_status = None
        await until(lambda: engine.states[pair[0].name] == "half_open")
        for _ in range(4):
            await engine.generate(ask())
        assert engine.states[pair[0].name] == "closed"
        assert len(first.bodies) > num_before
        await engine.aclose()
        await engine.aclose()


def test_checks_belong_to_the_event_loop_of_the_calls():
    engine = Balance(engines=replicas(2), check_s=0.01)

    async def call():
        await engine.generate(ask())
        await engine.aclose()

    asyncio.run(call())
    asyncio.run(call())


async def test_a_dead_server_beside_a_live_one_costs_no_draw():
    async with Upstream() as gone:
        pass
    async with Upstream() as server:
        engine = Balance(engines=(OpenAI(url=gone.url), OpenAI(url=server.url)))
        assert (await engine.capabilities()).prefix
        for _ in range(4):
            assert [c.error for c in await engine.generate(ask(n=3))] == [None] * 3
        await engine.aclose()


# ── specs ───────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_a_spec():
    spec = (
        "balance(engines=[openai(url='http://a/v1'), openai(url='http://b/v1')], sticky=true, check_s=10.0)"
    )
    assert registry.spec_of(registry.parse("engines", spec)) == spec


@pytest.mark.parametrize(
    "spec",
    [
        "balance([])",
        "balance([fake], max_ahead=-1)",
        "balance([fake], check_s=0)",
        "balance([fake], failures=0)",
        "balance([fake], cool_down_s=-1)",
    ],
)
def test_parameters_out_of_range(spec):
    with pytest.raises(SpecError):
        registry.parse("engines", spec)
