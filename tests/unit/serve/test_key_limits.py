"""Limits of single keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.serve.api_errors import ApiError
from nbest.serve.key_limits import Bucket, KeyLimits
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


STEPS = st.lists(
    st.tuples(st.sampled_from(["spend", "give_back", "wait"]), st.integers(0, 90)), min_size=1, max_size=9
)


@given(STEPS)
def test_a_bucket_holds_what_was_put_in_and_not_taken_out_and_never_more_than_a_minutes(steps):
    clock = Clock()
    bucket, level = Bucket(60, clock), 60.0
    for kind, amount in steps:
        if kind == "spend":
            bucket.spend(amount)
            level -= amount
        elif kind == "give_back":
            bucket.give_back(amount)
            level = min(60.0, level + amount)
        else:
            clock.now += amount
        level = min(60.0, level + (amount if kind == "wait" else 0))
        for wanted in (1, 60, 70):
            assert bucket.wait_s(wanted) == pytest.approx(max(0.0, wanted - level))


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
        pytest.raises(ApiError, match="'ana' may send 2 requests a minute: try again in 30 s") as e,
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
