"""Slow calls made a second time."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.engines.layers import Hedge
from nbest.engines.openai.openai import OpenAI
from nbest.errors import CapabilityError, EngineHttpError
from nbest.protocols import Capabilities
from nbest.types import Completion, Request
from scripted import prompt_of
from upstream import Upstream

ASK = Request(prompt=prompt_of("१ + १ ="))


class Forever:
    """An event that never comes."""

    async def wait(self):
        await asyncio.Event().wait()


@dataclass(eq=False)
class Stalling:
    """Call i waits for `waits[i]`, fails with `errors[i]`, and speaks `pieces[i]` before it waits.

    It waits for an event, or a number of turns of the loop: no test depends on how fast a machine is.
    """

    waits: deque = field(default_factory=deque)
    errors: deque = field(default_factory=deque)
    pieces: deque = field(default_factory=deque)
    name: str = "stalling"
    num_calls: int = 0
    num_cancelled: int = 0

    async def capabilities(self):
        return Capabilities()

    async def generate(self, request, on_delta=None):
        i, self.num_calls = self.num_calls, self.num_calls + 1
        wait, error, piece = [q.popleft() if q else None for q in (self.waits, self.errors, self.pieces)]
        try:
            if piece and on_delta:
                on_delta(piece)
            if isinstance(wait, int):
                for _ in range(wait):
                    await asyncio.sleep(0)
            elif wait:
                await wait.wait()
            if on_delta:
                on_delta(f"{i}")
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
        if error:
            raise error
        return [Completion(text=f"{i}")]

    async def aclose(self):
        pass

    async def was_called(self, num):
        async with asyncio.timeout(20):
            while self.num_calls < num:  # noqa: ASYNC110
                await asyncio.sleep(0)


async def draw_twice(inner, *gates, on_delta=None):
    """Opens `gates` one after the other once the call was made twice."""
    engine = Hedge(engine=inner, after_s=0.0, most=1.0)
    task = asyncio.create_task(engine.generate(ASK, on_delta))
    await inner.was_called(2)
    for gate in gates:
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
    return await asyncio.wait_for(task, 20)


def broken(status=500):
    return EngineHttpError(f"status {status}", status=status)


async def test_a_slow_call_is_made_twice_and_the_first_back_wins():
    inner = Stalling(deque([Forever()]))
    engine = Hedge(engine=inner, after_s=0.01, most=1.0)
    assert [c.text for c in await engine.generate(ASK)] == ["1"]
    assert (inner.num_calls, inner.num_cancelled, engine.num_hedged) == (2, 1, 1)


async def test_a_call_that_is_back_in_time_is_made_once():
    inner = Stalling(deque([5]))
    engine = Hedge(engine=inner, after_s=60.0, most=1.0)
    assert [c.text for c in await engine.generate(ASK)] == ["0"]
    assert inner.num_calls == 1


async def test_the_slow_one_may_still_win():
    gate = asyncio.Event()
    inner = Stalling(deque([gate, Forever()]))
    assert [c.text for c in await draw_twice(inner, gate)] == ["0"]
    assert inner.num_cancelled == 1


@given(st.lists(st.booleans(), max_size=60), st.sampled_from([0.0, 0.05, 0.1, 0.5]))
def test_the_share_is_kept_at_every_moment(are_slow, most):
    async def run():
        engine = Hedge(engine=Stalling(), after_s=0.0, most=most)
        for num, is_slow in enumerate(are_slow, 1):
            engine.engine.waits.extend([9, 0] if is_slow else [0])
            await engine.generate(ASK)
            engine.engine.waits.clear()
            assert engine.num_hedged <= most * num + 1e-9

    asyncio.run(run())


async def test_the_share_is_used():
    engine = Hedge(engine=Stalling(), after_s=0.0, most=0.1)
    for _ in range(40):
        engine.engine.waits.extend([9, 0])
        await engine.generate(ASK)
        engine.engine.waits.clear()
    assert engine.num_hedged in {3, 4}  # ten tenths are a little less than one


async def test_patience_is_learnt_from_the_calls_before():
    inner = Stalling()
    engine = Hedge(engine=inner, percentile=50, most=1.0)
    for i in range(19):
        assert engine._patience_s() is None
        engine._live.seconds.append(float(i))
    engine._live.seconds.append(19.0)
    assert engine._patience_s() == 9.0
    engine._live.seconds.extend([0.0] * 200)
    inner.waits.append(Forever())
    await engine.generate(ASK)
    assert engine.num_hedged == 1


async def test_an_error_before_the_second_call_is_raised_at_once():
    inner = Stalling(errors=deque([broken()]))
    with pytest.raises(EngineHttpError):
        await Hedge(engine=inner, after_s=60.0, most=1.0).generate(ASK)
    assert inner.num_calls == 1


async def test_a_failing_second_call_costs_nothing():
    first, second = asyncio.Event(), asyncio.Event()
    inner = Stalling(deque([first, second]), deque([None, broken()]))
    assert [c.text for c in await draw_twice(inner, second, first)] == ["0"]


async def test_a_failing_first_call_leaves_it_to_the_second():
    first, second = asyncio.Event(), asyncio.Event()
    inner = Stalling(deque([first, second]), deque([broken()]))
    assert [c.text for c in await draw_twice(inner, first, second)] == ["1"]


async def test_where_both_fail_the_first_error_is_raised():
    first, second = asyncio.Event(), asyncio.Event()
    inner = Stalling(deque([first, second]), deque([broken(500), broken(503)]))
    with pytest.raises(EngineHttpError, match="status 500"):
        await draw_twice(inner, second, first)


async def test_an_error_of_another_kind_is_raised_from_either():
    inner = Stalling(deque([Forever()]), deque([None, CapabilityError("cannot")]))
    with pytest.raises(CapabilityError):
        await draw_twice(inner)
    assert inner.num_cancelled == 1


async def test_cancelling_cancels_both():
    inner = Stalling(deque([Forever(), Forever()]))
    task = asyncio.create_task(Hedge(engine=inner, after_s=0.0, most=1.0).generate(ASK))
    await inner.was_called(2)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inner.num_cancelled == 2


async def test_a_stream_that_has_begun_is_not_sent_again():
    inner = Stalling(deque([50]), pieces=deque(["начало "]))
    heard = []
    await Hedge(engine=inner, after_s=0.0, most=1.0).generate(ASK, heard.append)
    assert (heard, inner.num_calls) == (["начало ", "0"], 1)


async def test_of_two_streams_only_the_first_to_emit_is_passed_on():
    first, second = asyncio.Event(), asyncio.Event()
    inner = Stalling(deque([first, second]), pieces=deque([None, "ตอบ "]))
    heard = []
    (drawn,) = await draw_twice(inner, first, second, on_delta=heard.append)
    assert (heard, drawn.text) == (["ตอบ ", "1"], "1")
    assert inner.num_cancelled == 1


async def test_a_speaker_that_fails_is_not_replaced():
    second = asyncio.Event()
    inner = Stalling(deque([Forever(), second]), deque([None, broken()]), deque([None, "ตอบ "]))
    heard = []
    with pytest.raises(EngineHttpError):
        await draw_twice(inner, second, on_delta=heard.append)
    assert heard == ["ตอบ ", "1"]


async def test_a_hanging_replica_costs_no_answer():
    async with Upstream() as server:
        server.faults.extend(["hang"])
        engine = Hedge(engine=OpenAI(url=server.url), after_s=0.05, most=1.0)
        assert len(await engine.generate(ASK)) == 1
        await server.saw("num_cancelled", 1)
        await engine.aclose()
