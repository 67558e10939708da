import asyncio

import pytest

from nbest.serve.api_errors import ApiError
from nbest.serve.limits import Admission, Bucket, KeyLimits
from nbest.settings.gateway import Key


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def key(**limits):
    return Key(name="ana", sha256="0" * 64, **limits)


def test_a_bucket_refills_evenly_and_never_overflows():
    clock = Clock()
    bucket = Bucket(60, clock)
    bucket.spend(60)
    assert bucket.wait_s(1) == pytest.approx(1)
    clock.now = 30
    assert bucket.wait_s(30) == 0
    clock.now = 3000
    assert bucket.wait_s(61) == pytest.approx(1)


def test_a_debt_is_paid_off_first():
    clock = Clock()
    bucket = Bucket(60, clock)
    bucket.spend(180)
    assert bucket.wait_s(1) == pytest.approx(121)
    clock.now = 121
    assert bucket.wait_s(1) == 0


def test_requests_per_minute():
    clock = Clock()
    limits, ana = KeyLimits(clock), key(requests_per_minute=2)
    for _ in range(2):
        with limits.hold(ana):
            pass
    with (
        pytest.raises(ApiError, match="'ana' may ask 2 times a minute: try again in 30 s") as e,
        limits.hold(ana),
    ):
        pass
    assert (e.value.status, e.value.code, e.value.kind, e.value.retry_after_s) == (
        429,
        "rate_limit_exceeded",
        "requests",
        30,
    )
    clock.now = 30
    with limits.hold(ana):
        pass


def test_tokens_are_charged_when_they_are_known():
    clock = Clock()
    limits, ana = KeyLimits(clock), key(tokens_per_minute=600)
    with limits.hold(ana):
        limits.charge(ana, 1200)
    with pytest.raises(ApiError, match="may spend 600 tokens a minute") as e, limits.hold(ana):
        pass
    assert e.value.retry_after_s == 61
    assert e.value.kind == "tokens"
    clock.now = 61
    with limits.hold(ana):
        pass


def test_requests_at_once_and_failing_ones_give_their_place_back():
    limits, ana = KeyLimits(Clock()), key(concurrency=1)
    with limits.hold(ana), pytest.raises(ApiError, match="1 requests under way"), limits.hold(ana):
        pass
    with pytest.raises(ZeroDivisionError), limits.hold(ana):
        raise ZeroDivisionError
    with limits.hold(ana):
        pass


def test_a_refused_request_costs_nothing():
    limits, ana = KeyLimits(Clock()), key(requests_per_minute=2, concurrency=1)
    with limits.hold(ana):
        for _ in range(5):
            with pytest.raises(ApiError, match="under way"), limits.hold(ana):
                pass
    with limits.hold(ana):
        pass


def test_keys_are_counted_apart_and_no_limit_is_none():
    limits = KeyLimits(Clock())
    other = Key(name="ben", sha256="1" * 64)
    with limits.hold(key(requests_per_minute=1)):
        for _ in range(100):
            with limits.hold(other):
                limits.charge(other, 10**9)


def test_new_limits_count_at_once_and_remember_who_is_in():
    limits = KeyLimits(Clock())
    with limits.hold(key()), pytest.raises(ApiError, match="under way"), limits.hold(key(concurrency=1)):
        pass


def test_a_request_from_before_a_reload_is_charged_to_the_new_limits():
    limits = KeyLimits(Clock())
    with limits.hold(key(tokens_per_minute=1000)):
        with limits.hold(key(tokens_per_minute=600)):
            limits.charge(key(tokens_per_minute=600), 500)
        limits.charge(key(tokens_per_minute=1000), 500)
    with (
        pytest.raises(ApiError, match="may spend 600 tokens") as e,
        limits.hold(key(tokens_per_minute=600)),
    ):
        pass
    assert e.value.retry_after_s == 41


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
