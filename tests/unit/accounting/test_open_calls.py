import asyncio
import time

import pytest

from nbest.accounting.open_calls import ASSUMED_TOKENS_PER_S, Pace, cut_usage, open_call, wants_precision
from nbest.errors import EngineError, EngineTimeoutError
from nbest.types import Completion, Request, SamplingParams, Usage
from scripted import prompt_of

REQUEST = Request(prompt=prompt_of("سؤال طويل"), n=2, params=SamplingParams(max_tokens=100))


def cut_by(error, pace=None, **known):
    def break_off():
        with open_call(REQUEST, pace or Pace()) as call:
            for name, value in known.items():
                setattr(call, name, value)
            raise error

    with cut_usage(is_precise=False) as cut, pytest.raises(type(error)):
        break_off()
    return cut.usage


def test_a_call_that_returns_or_is_refused_is_not_cut():
    with cut_usage(is_precise=False) as cut, open_call(REQUEST, Pace()):
        pass
    assert cut.usage == Usage() == cut_by(EngineError("503"))


@pytest.mark.parametrize("error", [asyncio.CancelledError(), EngineTimeoutError("late")])
def test_what_the_server_said_so_far_is_the_estimate(error):
    usage = cut_by(error, num_drawn=30, num_prompt=12, num_cached=5)
    assert usage == Usage(
        prompt=12, cached=5, completion=30, calls=1, estimated_prompt=12, estimated_completion=30
    )


def test_a_stream_that_breaks_off_is_counted_by_its_events():
    pace = Pace()
    pace.learn(1.0, [Completion(text="…", usage=Usage(completion=60))], num_events=40)
    assert cut_by(EngineError("broken off"), pace, num_events=20).completion == 30


def test_else_it_is_the_time_at_the_pace_of_calls_that_returned_and_at_most_max_tokens():
    pace = Pace()
    for num_tokens in (10, 20, 300):
        pace.learn(2.0, [Completion(text="…", usage=Usage(completion=num_tokens))], 0)

    def after(seconds, pace):
        return cut_by(asyncio.CancelledError(), pace, _started=time.monotonic() - seconds).completion

    assert after(3.0, pace) == 2 * 3 * 10  # two draws, at the median of 5, 10 and 150 tokens a second
    assert after(60.0, pace) == 2 * 100
    assert after(1.0, Pace()) == 2 * ASSUMED_TOKENS_PER_S


async def test_calls_within_layers_and_tasks_reach_the_caller():
    async def call():
        with open_call(REQUEST, Pace()) as open_:
            assert wants_precision()
            open_.num_drawn = 7
            await asyncio.sleep(60)

    with cut_usage(is_precise=True) as cut:
        tasks = [asyncio.create_task(call()) for _ in range(2)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (cut.usage.completion, cut.usage.calls) == (14, 2)
    assert not wants_precision()
