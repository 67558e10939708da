"""Limits over replicas, in a real Redis server."""

import asyncio
import contextlib
import time

import pytest

from nbest.serve import shared_limits
from nbest.serve.api_errors import ApiError
from nbest.serve.shared_limits import SharedLimits
from nbest.settings.gateway import Key
from redis_server import needs_redis, redis_server

pytestmark = needs_redis
HASH = "a" * 64


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(autouse=True)
def patient(monkeypatch, request):
    """However busy this machine is."""
    if "fault" not in request.fixturenames:
        monkeypatch.setattr(shared_limits, "_TIMEOUT_S", 20.0)


@contextlib.asynccontextmanager
async def replicas(redis, num=2):
    """Several replicas, and what each was told of money: replica → name → sum."""
    totals = [{} for _ in range(num)]
    each = [SharedLimits(redis.url, on_total=totals[i].__setitem__) for i in range(num)]
    try:
        yield each, totals
    finally:
        for limits in each:
            await limits.aclose()


async def admitted(limits, key, num, *, start=0, **what):
    """Which of `num` requests at once are admitted, and the refusals."""
    tasks = [limits[i % len(limits)].admit(key, f"r{start + i}", **what) for i in range(num)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [r for r in results if r is not None]
    assert all(isinstance(r, ApiError) for r in refused), refused
    return [start + i for i, r in enumerate(results) if r is None], refused


async def test_requests_a_minute_are_those_of_all_replicas(redis):
    async with replicas(redis) as (limits, _):
        key = Key(name="鍵 requests", sha256=HASH, requests_per_minute=10)
        ids, refused = await admitted(limits, key, 30)
        assert len(ids) == 10
        assert {(r.status, r.code) for r in refused} == {(429, "rate_limit_exceeded")}
        assert all(r.retry_after_s == 6 for r in refused)


async def test_requests_at_once_are_those_of_all_replicas_and_are_given_back(redis):
    async with replicas(redis) as (limits, _):
        key = Key(name="مفتاح {at} once", sha256=HASH, concurrency=4)
        ids, _ = await admitted(limits, key, 10)
        assert len(ids) == 4
        for i in ids[:2]:
            limits[i % 2].settle(key, f"r{i}", num_tokens=0, money=0.0)
        await settled(limits)
        assert len((await admitted(limits, key, 10, start=100))[0]) == 2


async def test_tokens_are_set_aside_and_what_was_not_needed_comes_back(redis):
    async with replicas(redis) as (limits, _):
        key = Key(name="ключ tokens", sha256=HASH, tokens_per_minute=1000)
        ids, refused = await admitted(limits, key, 60, num_tokens=430)
        assert len(ids) == 3  # the third begins while 140 are left
        assert "may spend 1000 tokens a minute" in str(refused[0])
        assert refused[0].retry_after_s == 1  # what is set aside may come back soon
        for i in ids:
            limits[i % 2].settle(key, f"r{i}", num_tokens=30, money=0.0)
        await settled(limits)
        assert len((await admitted(limits, key, 60, start=100, num_tokens=430))[0]) == 3


async def test_debt_is_paid_off_before_the_next_request(redis):
    async with replicas(redis, 1) as ((limits,), _):
        key = Key(name="債務", sha256=HASH, tokens_per_minute=600)
        await limits.admit(key, "r0", num_tokens=100)
        limits.settle(key, "r0", num_tokens=1200, money=0.0)
        await settled([limits])
        with pytest.raises(ApiError) as refused:
            await limits.admit(key, "r1")
        assert refused.value.retry_after_s == pytest.approx(61, abs=2)


async def test_a_request_of_more_tokens_than_a_minute_has_is_admitted_alone(redis):
    async with replicas(redis) as (limits, _):
        key = Key(name="large", sha256=HASH, tokens_per_minute=100)
        assert len((await admitted(limits, key, 5, num_tokens=500))[0]) == 1


async def test_money_of_a_day_is_that_of_all_replicas(redis):
    async with replicas(redis) as (limits, totals):
        key = Key(name="बजट", sha256=HASH, money_per_day=1.0)
        ids, refused = await admitted(limits, key, 60, money=0.1)
        assert len(ids) == 10
        assert refused[0].code == "insufficient_quota"
        for i in range(60):
            limits[i % 2].settle(key, f"r{i}", num_tokens=5, money=0.05 if i in ids else 0.0)
        await settled(limits)
        await admitted(limits, key, 2, start=100, money=0.0)
        assert [t["बजट"] for t in totals] == pytest.approx([0.5, 0.5])
        assert len((await admitted(limits, key, 60, start=200, money=0.1))[0]) == 5


async def test_a_key_without_limits_never_asks(redis):
    async with replicas(redis, 1) as ((limits,), totals):
        key = Key(name="free", sha256=HASH)
        await limits.admit(key, "r0")
        limits.settle(key, "r0", num_tokens=5, money=1.0)
        assert totals == [{}]
        assert not limits._settling


async def test_a_replica_that_dies_gives_its_places_back_when_its_leases_end(redis, monkeypatch):
    monkeypatch.setattr(shared_limits, "_LEASE_S", 0.3)
    key = Key(name="lease", sha256=HASH, concurrency=2, money_per_day=1.0)
    async with replicas(redis) as (limits, _):
        assert len((await admitted(limits[:1], key, 2, money=0.5))[0]) == 2
        assert len((await admitted(limits[1:], key, 1, start=50))[0]) == 0
        await asyncio.sleep(0.4)
        assert len((await admitted(limits[1:], key, 3, start=100, money=0.5))[0]) == 2


async def test_leases_are_prolonged_while_requests_are_under_way(redis, monkeypatch):
    monkeypatch.setattr(shared_limits, "_LEASE_S", 0.5)
    monkeypatch.setattr(shared_limits, "_RENEW_S", 0.1)
    key = Key(name="renewed", sha256=HASH, concurrency=1)
    async with replicas(redis) as (limits, _):
        assert len((await admitted(limits[:1], key, 1))[0]) == 1
        await asyncio.sleep(1.2)
        assert len((await admitted(limits[1:], key, 1, start=50))[0]) == 0


@pytest.mark.parametrize("fault", ["stopped", "hanging"])
async def test_without_redis_requests_go_on_and_what_they_spent_is_counted_later(
    tmp_path, monkeypatch, caplog, fault
):
    monkeypatch.setattr(shared_limits, "_REST_S", 0.3)
    key = Key(name="تعطل", sha256=HASH, requests_per_minute=5, money_per_day=10.0)
    with redis_server(tmp_path) as redis:
        async with replicas(redis, 1) as ((limits,), (total,)):
            await limits.admit(key, "first")
            if fault == "stopped":
                redis.stop()
            else:
                redis.hang()
            started = time.monotonic()
            for i in range(20):
                await limits.admit(key, f"r{i}", money=0.1)
                limits.settle(key, f"r{i}", num_tokens=1, money=0.1)
            limits.settle(key, "first", num_tokens=1, money=0.25)
            assert time.monotonic() - started < 3
            await settled([limits])
            assert not limits.is_up
            assert limits.num_unsettled == 21
            if fault == "stopped":
                redis.start()
            else:
                redis.go_on()
            await asyncio.sleep(0.4)
            await limits.admit(key, "again")
            await settled([limits])
            assert limits.is_up
            assert limits.num_unsettled == 0
            assert total["تعطل"] == pytest.approx(2.25)
    said = [r.message for r in caplog.records if "Redis does not answer" in r.message]
    assert len(said) == 1
    assert redis.url not in caplog.text


async def test_a_settlement_whose_reply_was_lost_is_not_charged_twice(redis):
    key = Key(name="twice", sha256=HASH, money_per_day=10.0)
    async with replicas(redis, 1) as ((limits,), (total,)):
        await limits.admit(key, "r0", money=1.0)
        limits.settle(key, "r0", num_tokens=1, money=0.5)
        await settled([limits])
        lost = shared_limits._Settlement(
            key=key,
            request_id="r0",
            day=shared_limits.day_of(time.time()),
            num_tokens=1,
            money=0.5,
            is_leased=True,
            is_retry=True,
        )
        await limits._settle(lost)
        assert total["twice"] == pytest.approx(0.5)


async def settled(each):
    for limits in each:
        while limits._settling:
            await asyncio.gather(*limits._settling)
