"""Work in processes that can be killed."""

import asyncio
import os
import signal
import time

import numpy as np
import pytest

from nbest import offload as offloading
from nbest.errors import EngineError, EngineTimeoutError, SelectionError
from nbest.offload import LONG_TEXT, Limits, counts, offload, set_limits, spaced


@pytest.fixture
def limits():
    yield set_limits
    set_limits(Limits())


def doubled(texts):
    return [text * 2 for text in texts], os.getpid()


def refused():
    raise SelectionError("تعذّر")


class OwnError(Exception):
    def __init__(self, *, code):
        super().__init__(f"code {code}")


def failed():
    raise OwnError(code=7)


def environment():
    return dict(os.environ)


def died():
    os.kill(os.getpid(), signal.SIGKILL)


async def test_long_and_short_texts_of_every_script_arrive_as_they_are():
    texts = ["四" * LONG_TEXT, "ก", "\ud800" * LONG_TEXT, "", "٤" * (LONG_TEXT - 1)]
    got, pid = await offload(doubled, texts)
    assert got == [text * 2 for text in texts]
    assert pid != os.getpid()


async def test_one_list_given_twice_is_one_list_there():
    texts = ["a", "b"]
    assert await offload(np.shares_memory, *[np.zeros(3)] * 2)
    assert (await offload(doubled, texts))[0] == ["aa", "bb"]


async def test_what_the_function_raises_is_raised():
    with pytest.raises(SelectionError, match="تعذّر"):
        await offload(refused)
    with pytest.raises(EngineError, match="OwnError: code 7"):
        await offload(failed)


async def test_a_job_that_is_late_is_killed_and_the_next_one_is_done():
    num_killed = counts.num_killed
    began = time.monotonic()
    with pytest.raises(EngineTimeoutError, match=r"sleep was not done within 0\.3 s"):
        await offload(time.sleep, 60, seconds=0.3)
    assert time.monotonic() - began < 30
    assert counts.num_killed == num_killed + 1
    assert (await offload(doubled, ["四"]))[0] == ["四四"]


async def test_a_job_that_is_cancelled_is_killed():
    num_killed = counts.num_killed
    task = asyncio.ensure_future(offload(time.sleep, 60))
    while not offloading.num_at_work():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts.num_killed == num_killed + 1
    while offloading.num_at_work():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_jobs_beyond_the_workers_wait_and_are_late_too():
    sleepers = [offload(time.sleep, 60, seconds=0.5) for _ in range(8)]
    ended = await asyncio.gather(*sleepers, return_exceptions=True)
    assert {type(e) for e in ended} == {EngineTimeoutError}


async def test_a_job_may_take_so_long_and_so_much_memory(limits):
    limits(Limits(seconds=0.3, memory_bytes=100 << 20))
    with pytest.raises(EngineTimeoutError, match=r"longer than 0\.3 s of computing"):
        await offload(time.sleep, 60)
    limits(Limits(seconds=30, memory_bytes=100 << 20))
    with pytest.raises(EngineError, match="more memory"):
        await offload(bytes, 1 << 30)
    assert len(await offload(bytes, 10)) == 10


async def test_a_worker_that_dies_costs_its_job_alone():
    with pytest.raises(EngineError, match="ended its process"):
        await offload(died)
    assert (await offload(doubled, ["x"]))[0] == ["xx"]


async def test_workers_have_no_keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with pytest.raises(EngineError):
        await offload(died)  # the next worker is one that starts now
    assert "sk-secret" not in (await offload(environment)).values()


async def test_the_loop_runs_between_small_pieces_of_work():
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count_turns())
    done = [(i, time.sleep(0.003)) async for i in spaced(range(5))]  # noqa: ASYNC251
    counting.cancel()
    assert [i for i, _ in done] == list(range(5))
    assert turns >= 4
