"""Places and the queue of a gateway, and the end of both."""

import asyncio

import pytest

from nbest.serve.admission import Admission
from nbest.serve.api_errors import ApiError


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Worker:
    """Requests that work until told to stop."""

    def __init__(self, admission):
        self.admission = admission
        self.order = []
        self.may_end = asyncio.Event()

    async def request(self, name):
        async with self.admission.hold():
            self.order.append(name)
            await self.may_end.wait()

    async def start(self, *names):
        tasks = [asyncio.create_task(self.request(name)) for name in names]
        await asyncio.sleep(0)
        return tasks


async def test_first_come_first_served():
    admission = Admission(concurrency=1, queue=10)
    worker = Worker(admission)
    tasks = await worker.start("a", "b", "c", "d")
    assert (worker.order, admission.num_at_work, admission.num_waiting) == (["a"], 1, 3)
    worker.may_end.set()
    await asyncio.gather(*tasks)
    assert worker.order == ["a", "b", "c", "d"]
    assert (admission.num_at_work, admission.num_waiting) == (0, 0)


async def test_who_finds_the_queue_full_is_told_when_to_come_back():
    clock = Clock()
    admission = Admission(concurrency=2, queue=3, clock=clock)
    async with admission.hold():
        clock.now = 10.0
    worker = Worker(admission)
    tasks = await worker.start(*"abcde")
    with pytest.raises(ApiError, match="2 requests are at work and 3 wait") as e:
        await worker.request("f")
    assert (e.value.status, e.value.code) == (429, "overloaded")
    assert e.value.retry_after_s == 20  # 10 s each, 4 to go before there is a place, 2 at once
    worker.may_end.set()
    await asyncio.gather(*tasks)


async def test_without_a_queue_the_limit_is_the_limit():
    admission = Admission(concurrency=1, queue=0)
    async with admission.hold():
        with pytest.raises(ApiError) as e:
            await Worker(admission).request("b")
    assert e.value.retry_after_s == 1


async def test_who_leaves_the_queue_holds_nobody_up():
    admission = Admission(concurrency=1, queue=10)
    worker = Worker(admission)
    a, b, c = await worker.start("a", "b", "c")
    b.cancel()
    await asyncio.sleep(0)
    assert admission.num_waiting == 1
    worker.may_end.set()
    await asyncio.gather(a, c)
    assert worker.order == ["a", "c"]


async def test_who_is_cancelled_when_its_turn_comes_passes_it_on():
    admission = Admission(concurrency=1, queue=10)
    worker = Worker(admission)
    a, b, c = await worker.start("a", "b", "c")
    worker.may_end.set()
    await asyncio.sleep(0)  # a is woken …
    await asyncio.sleep(0)  # … and has given its place to b, which has not run yet
    b.cancel()
    await asyncio.gather(a, c)
    assert b.cancelled() or worker.order == ["a", "b", "c"]
    assert (admission.num_at_work, admission.num_waiting) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
async def test_no_place_is_lost_whoever_is_cancelled_when(seed):
    from random import Random

    rng = Random(seed)
    admission = Admission(concurrency=3, queue=1000)
    most = 0

    async def request():
        nonlocal most
        async with admission.hold():
            most = max(most, admission.num_at_work)
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)

    tasks = []
    for _ in range(200):
        tasks.append(asyncio.create_task(request()))
        if rng.random() < 0.5:
            rng.choice(tasks).cancel()
        if rng.random() < 0.3:
            await asyncio.sleep(0)
        if rng.random() < 0.05:
            admission.resize(concurrency=rng.randint(1, 3), queue=1000)
    admission.resize(concurrency=3, queue=1000)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 3
    assert (admission.num_at_work, admission.num_waiting) == (0, 0)


async def test_more_places_let_the_waiting_in_at_once():
    admission = Admission(concurrency=1, queue=10)
    worker = Worker(admission)
    tasks = await worker.start("a", "b", "c")
    admission.resize(concurrency=3, queue=10)
    await asyncio.sleep(0)
    assert worker.order == ["a", "b", "c"]
    worker.may_end.set()
    await asyncio.gather(*tasks)


async def test_draining_lets_those_who_are_in_finish():
    admission = Admission(concurrency=1, queue=10)
    worker = Worker(admission)
    tasks = await worker.start("a", "b")
    drain = asyncio.create_task(admission.drain(60))
    await asyncio.sleep(0)
    with pytest.raises(ApiError, match="stopping") as e:
        await worker.request("c")
    assert e.value.status == 503
    worker.may_end.set()
    assert await drain == 0
    await asyncio.gather(*tasks)
    assert worker.order == ["a", "b"]


async def test_draining_ends_in_time():
    admission = Admission(concurrency=1, queue=10)
    worker = Worker(admission)
    a, b = await worker.start("a", "b")
    assert await admission.drain(0) == 2
    with pytest.raises(ApiError, match="stopping"):
        await b
    a.cancel()
    assert await asyncio.gather(a, return_exceptions=True)
    assert admission.num_at_work == 0


async def test_draining_an_idle_gateway_is_done_at_once():
    assert await Admission(concurrency=1, queue=1).drain(60) == 0
