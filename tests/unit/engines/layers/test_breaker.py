"""Servers that fail: the circuit breaker by itself, and in a failover."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.context import Context
from nbest.engines.layers import Breaker, Failover, Retry, breaker, circuit
from nbest.engines.layers.circuit import Circuit
from nbest.engines.openai.openai import OpenAI
from nbest.errors import (
    EngineError,
    EngineHttpError,
    EngineProtocolError,
    EngineTimeoutError,
    UnavailableError,
    UnreachableError,
)
from nbest.protocols import Capabilities
from nbest.types import Completion, Logprobs, Request
from scripted import prompt_of
from upstream import Upstream

PROMPT = prompt_of("१ + १ =")
ASK = Request(prompt=PROMPT)


def http(status):
    return EngineHttpError(f"status {status}", status=status)


FAULTS = [
    http(500),
    http(503),
    EngineTimeoutError("slow"),
    EngineProtocolError("odd"),
    UnreachableError("gone"),
]
NO_FAULTS = [http(400), http(401), http(404), http(422), http(429), EngineError("other")]


@dataclass(eq=False, kw_only=True)
class Ill:
    """Raises `error` while there is one, waits for `gate` while there is one."""

    name: str = "ill"
    error: EngineError | None = None
    gate: asyncio.Event | None = None
    num_calls: int = 0
    pieces: tuple[str, ...] = ()
    down: list = field(default_factory=list)

    async def capabilities(self):
        if self.down:
            raise self.down[0]
        return Capabilities()

    async def generate(self, request, on_delta=None):
        self.num_calls += 1
        if self.gate:
            await self.gate.wait()
        for piece in self.pieces if on_delta else ():
            on_delta(piece)
        if self.error:
            raise self.error
        return [Completion(text="2")]

    async def logprobs(self, prompt, text):
        await self.generate(ASK)
        return Logprobs(tokens=(text,), values=(-1.0,))

    async def aclose(self):
        pass


async def fail(engine, num=1):
    for _ in range(num):
        with pytest.raises(EngineError):
            await engine.generate(ASK)


# ── breaker ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", FAULTS)
async def test_server_faults_in_a_row_open_it_and_calls_fail_at_once(fault):
    ill = Ill(error=fault)
    engine = Breaker(engine=ill, failures=3, cool_down_s=60.0)
    await fail(engine, 2)
    assert engine.state == "closed"
    await fail(engine)
    assert engine.state == "open"
    for ask in (engine.generate(ASK), engine.logprobs(PROMPT, "2"), engine.capabilities()):
        with pytest.raises(
            UnavailableError, match=r"ill failed 3 times .* tried again in (60\.0|59\.\d) s"
        ) as e:
            await ask
        assert e.value.is_transient
        assert 50 < e.value.retry_after_s <= 60
    assert ill.num_calls == 3


@pytest.mark.parametrize("error", NO_FAULTS)
async def test_refused_requests_do_not_open_it(error):
    engine = Breaker(engine=Ill(error=error), failures=2, cool_down_s=60.0)
    await fail(engine, 10)
    assert engine.state == "closed"


async def test_a_success_between_starts_the_count_again():
    ill = Ill()
    engine = Breaker(engine=ill, failures=2, cool_down_s=60.0)
    for _ in range(5):
        ill.error = http(500)
        await fail(engine)
        ill.error = None
        await engine.capabilities()  # which may be remembered, and proves nothing
        await engine.generate(ASK)
    assert engine.state == "closed"
    ill.error = http(500)
    await fail(engine)
    await engine.capabilities()
    await fail(engine)
    assert engine.state == "open"


async def test_one_probe_decides_and_the_others_wait_for_none_of_it(monkeypatch):
    monkeypatch.setattr(breaker, "_BURST_S", 0.0)
    ill = Ill(error=http(500))
    engine = Breaker(engine=ill, failures=1, cool_down_s=0.0)
    await fail(engine)
    assert engine.state == "half_open"
    await fail(engine)  # the probe
    assert engine.state == "half_open"
    ill.error, ill.gate = None, asyncio.Event()
    probe = asyncio.create_task(engine.generate(ASK))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="by another call"):
        await engine.generate(ASK)
    ill.gate.set()
    assert len(await probe) == 1
    assert engine.state == "closed"
    assert ill.num_calls == 3


async def test_what_begins_with_the_probe_goes_with_it(monkeypatch):
    monkeypatch.setattr(breaker, "_BURST_S", 60.0)
    ill = Ill(error=http(500))
    engine = Breaker(engine=ill, failures=1, cool_down_s=0.0)
    await fail(engine)
    ill.error = None
    drawn = await asyncio.gather(*(engine.generate(ASK) for _ in range(5)))
    assert [len(d) for d in drawn] == [1] * 5
    assert engine.state == "closed"


async def test_calls_that_fail_together_count_as_one():
    ill = Ill(error=http(500))
    engine = Breaker(engine=ill, failures=2, cool_down_s=60.0)
    for state in ("closed", "open"):
        ill.gate = asyncio.Event()
        burst = [asyncio.create_task(engine.generate(ASK)) for _ in range(5)]
        await asyncio.sleep(0)
        ill.gate.set()
        await asyncio.gather(*burst, return_exceptions=True)
        assert engine.state == state
    assert ill.num_calls == 10


async def test_each_cool_down_is_twice_as_long_as_the_last_one(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(circuit.time, "monotonic", lambda: now)
    ill = Ill(error=http(500))
    engine = Breaker(engine=ill, failures=1, cool_down_s=1.0, longest_s=5.0)
    for _ in range(2):
        for wait_s in (1.0, 2.0, 4.0, 5.0, 5.0):
            ill.error = http(500)
            await fail(engine)
            assert engine._circuit.ready_in_s == wait_s
            now += wait_s
            assert engine.state == "half_open"
        ill.error = None
        await engine.generate(ASK)
        assert engine.state == "closed"


async def test_a_cancelled_probe_leaves_room_for_the_next():
    ill = Ill(error=http(500))
    engine = Breaker(engine=ill, failures=1, cool_down_s=0.0)
    await fail(engine)
    ill.error, ill.gate = None, asyncio.Event()
    probe = asyncio.create_task(engine.generate(ASK))
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert engine.state == "half_open"
    ill.gate = None
    await engine.generate(ASK)
    assert engine.state == "closed"


@pytest.mark.parametrize("is_well", [True, False])
async def test_what_began_before_it_opened_changes_nothing_afterwards(is_well):
    ill = Ill(gate=asyncio.Event())
    engine = Breaker(engine=ill, failures=1, cool_down_s=60.0)
    early = asyncio.create_task(engine.generate(ASK))
    await asyncio.sleep(0)
    gate, ill.gate, ill.error = ill.gate, None, http(500)
    await fail(engine)
    until = engine._circuit._open_until
    ill.error = None if is_well else http(500)
    gate.set()
    await asyncio.gather(early, return_exceptions=True)
    assert engine.state == "open"
    assert engine._circuit._open_until == until


async def test_who_cannot_be_asked_what_it_can_do_is_ill_as_well():
    engine = Breaker(engine=Ill(down=[UnreachableError("gone")]), failures=2, cool_down_s=60.0)
    for _ in range(2):
        with pytest.raises(UnreachableError, match="gone"):
            await engine.capabilities()
    with pytest.raises(UnavailableError):
        await engine.capabilities()


async def test_a_prompt_gets_candidates_that_say_so():
    async with Upstream() as server:
        server.fault = "error500"
        engine = Breaker(engine=Retry(engine=OpenAI(url=server.url), attempts=2, base_s=0.0), failures=1)
        for _ in range(3):
            (candidate,) = await Context({"policy": engine}).sample([ASK])
            assert candidate.error
        assert "is not called" in candidate.error
        assert len(server.bodies) == 2
        await engine.aclose()


@given(st.lists(st.sampled_from(["fault", "refusal", "well", "cancel"]), max_size=30), st.integers(1, 3))
def test_no_order_of_outcomes_wedges_it(outcomes, failures):
    async def run():
        tried = Circuit(failures=failures, cool_down_s=0.0)

        async def ask(outcome):
            if outcome == "well":
                return
            raise {"fault": http(500), "refusal": http(400), "cancel": asyncio.CancelledError()}[outcome]

        in_a_row = 0
        for outcome in outcomes:
            assert tried.is_ready
            await asyncio.gather(tried.call(lambda o=outcome: ask(o)), return_exceptions=True)
            in_a_row = in_a_row + 1 if outcome == "fault" else in_a_row if outcome == "cancel" else 0
            assert tried.state == ("half_open" if in_a_row >= failures else "closed")

    asyncio.run(run())


# ── failover ────────────────────────────────────────────────────────────────────────────────────────


async def test_each_engine_of_a_failover_has_a_state():
    sick, well = Ill(name="a", error=http(503)), Ill(name="b")
    engine = Failover(engines=(sick, well), failures=2)
    await engine.generate(ASK)
    assert engine.states == {"a": "closed", "b": "closed"}
    await engine.generate(ASK)
    assert engine.states == {"a": "open", "b": "closed"}
    await engine.generate(ASK)
    assert (sick.num_calls, well.num_calls) == (2, 3)


async def test_one_call_finds_out_whether_the_first_is_well_again():
    sick, well = Ill(name="a", error=http(503)), Ill(name="b")
    engine = Failover(engines=(sick, well), cool_down_s=0.0)
    await engine.generate(ASK)
    sick.error, sick.gate = None, asyncio.Event()
    probe = asyncio.create_task(engine.generate(ASK))
    await asyncio.sleep(0)
    await engine.generate(ASK)
    assert (sick.num_calls, well.num_calls) == (2, 2)
    sick.gate.set()
    assert (await probe)[0].engine == "a"
    assert engine.states["a"] == "closed"


async def test_where_all_are_ill_they_are_asked_all_the_same():
    engines = tuple(Ill(name=n, error=http(503)) for n in "ab")
    engine = Failover(engines=engines, cool_down_s=60.0)
    await fail(engine)
    assert set(engine.states.values()) == {"open"}
    engines[1].error = None
    assert (await engine.generate(ASK))[0].engine == "b"
    assert engine.states == {"a": "open", "b": "closed"}


async def test_after_emitted_text_no_other_engine_is_called():
    first, second = Ill(name="a", error=http(500), pieces=("один ",)), Ill(name="b", pieces=("два",))
    heard = []
    with pytest.raises(EngineHttpError, match="status 500"):
        await Failover(engines=(first, second)).generate(ASK, heard.append)
    assert heard == ["один "]
    first.pieces = ()
    drawn = await Failover(engines=(first, second)).generate(ASK, heard.append)
    assert (heard, drawn[0].engine) == (["один ", "два"], "b")


async def test_after_emitted_text_the_call_is_not_retried():
    ill = Ill(error=http(500), pieces=("один ",))
    engine = Retry(engine=ill, base_s=0.0)
    heard = []
    with pytest.raises(EngineHttpError):
        await engine.generate(ASK, heard.append)
    assert (heard, ill.num_calls) == (["один "], 1)
    ill.pieces = ()
    with pytest.raises(EngineHttpError):
        await engine.generate(ASK, heard.append)
    assert ill.num_calls == 5
