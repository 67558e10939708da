"""Money a day, by key."""

import pytest

from nbest.serve.api_errors import ApiError
from nbest.serve.spending import DAY_S, DailySpending
from nbest.settings.gateway import Key

NOON = 20_000 * DAY_S + DAY_S / 2


def key(budget, name="مفتاح"):
    return Key(name=name, sha256="a" * 64, money_per_day=budget)


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


def test_a_day_s_money_is_spent_once():
    spending = DailySpending(Clock())
    spending.reserve(key(1.0), 0.4)
    spending.reserve(key(1.0), 0.4)
    with pytest.raises(ApiError) as refused:
        spending.reserve(key(1.0), 0.4)
    assert (refused.value.status, refused.value.code, refused.value.kind) == (
        429,
        "insufficient_quota",
        "insufficient_quota",
    )
    assert "may spend 1 a day" in str(refused.value)
    spending.charge(key(1.0), reserved=0.4, spent=0.1)
    spending.reserve(key(1.0), 0.4)
    assert spending.today == {"مفتاح": pytest.approx(0.1)}


def test_one_request_alone_may_run_over_the_rest_and_then_none():
    spending = DailySpending(Clock())
    spending.reserve(key(1.0), 5.0)
    with pytest.raises(ApiError):
        spending.reserve(key(1.0), 0.01)
    spending.charge(key(1.0), reserved=5.0, spent=3.0)
    with pytest.raises(ApiError):
        spending.reserve(key(1.0), 0.0001)


def test_many_at_once_do_not_spend_more_than_there_is():
    spending = DailySpending(Clock())
    admitted = 0
    for _ in range(60):
        try:
            spending.reserve(key(1.0), 0.1)
            admitted += 1
        except ApiError:
            pass
    assert admitted == 10


def test_midnight_brings_a_new_day_and_keeps_what_is_set_aside():
    clock = Clock()
    spending = DailySpending(clock)
    spending.reserve(key(1.0), 0.5)
    spending.charge(key(1.0), reserved=0.0, spent=1.0)
    clock.now += DAY_S / 2 - 1
    with pytest.raises(ApiError) as refused:
        spending.reserve(key(1.0), 0.1)
    assert refused.value.retry_after_s == 1
    clock.now += 1
    assert not spending.today.get("مفتاح")
    spending.reserve(key(1.0), 0.4)
    with pytest.raises(ApiError):
        spending.reserve(key(1.0), 0.4)


def test_keys_without_a_budget_are_counted_and_not_refused():
    spending = DailySpending(Clock())
    for _ in range(3):
        spending.reserve(key(None, "鍵"), 1e9)
        spending.charge(key(None, "鍵"), reserved=1e9, spent=1e9)
    assert spending.today == {"鍵": 3e9}


def test_what_other_replicas_spent_counts():
    spending = DailySpending(Clock())
    spending.set_total("مفتاح", 0.9)
    spending.reserve(key(1.0), 0.05)
    with pytest.raises(ApiError):
        spending.reserve(key(1.0), 0.1)
