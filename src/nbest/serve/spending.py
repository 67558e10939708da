"""What each key spends in money a day, against its budget. For one event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from nbest.serve.api_errors import ApiError, retry_after
from nbest.settings.gateway import Key

DAY_S: Final = 86400.0


def day_of(unix_time: float) -> int:
    """Days since 1970 in UTC."""
    return int(unix_time // DAY_S)


@dataclass(slots=True)
class _Account:
    spent: float = 0.0
    reserved: float = 0.0


@dataclass(slots=True)
class _Day:
    number: int
    account_by_name: dict[str, _Account] = field(default_factory=dict[str, _Account])


class DailySpending:
    """Money by the key's name, since midnight UTC."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix time."""
        self._clock = clock
        self._day = _Day(day_of(clock()))

    @property
    def today(self) -> dict[str, float]:
        """What each key has spent today."""
        accounts = self._accounts()
        return {name: account.spent for name, account in accounts.items()}

    def reserve(self, key: Key, money: float) -> None:
        """Sets `money` aside for a request, which `charge` ends. Raises `ApiError` (429) where the budget lacks it.

        The only request of a key may run over what is left: else a budget's last part could never be spent.
        """
        account = self._account(key.name)
        if key.money_per_day is not None:
            needed = account.spent + account.reserved + money
            is_first = not account.reserved and account.spent < key.money_per_day
            if needed > key.money_per_day and not is_first:
                raise over_budget(key, self._clock())
        account.reserved += money

    def charge(self, key: Key, *, reserved: float, spent: float) -> None:
        """A request is over: frees what was set aside for it, and counts what it cost."""
        account = self._account(key.name)
        account.reserved = max(0.0, account.reserved - reserved)
        account.spent += spent

    def set_total(self, name: str, spent: float) -> None:
        """What the key has spent today at all replicas together, as it is known now."""
        self._account(name).spent = spent

    def _account(self, name: str) -> _Account:
        return self._accounts().setdefault(name, _Account())

    def _accounts(self) -> dict[str, _Account]:
        """Today's; what is set aside goes along into the next day."""
        today = day_of(self._clock())
        if self._day.number != today:
            reserved = {n: a.reserved for n, a in self._day.account_by_name.items() if a.reserved}
            self._day = _Day(today, {name: _Account(reserved=money) for name, money in reserved.items()})
        return self._day.account_by_name


def over_budget(key: Key, now: float) -> ApiError:
    """For a request of a key that has spent its money of today; `now` is Unix time."""
    until_midnight_s = (day_of(now) + 1) * DAY_S - now
    return ApiError(
        429,
        f"the key {key.name!r} may spend {key.money_per_day:g} a day, which is spent or set aside for requests"
        " under way: midnight UTC brings the next",
        kind="insufficient_quota",
        code="insufficient_quota",
        retry_after_s=retry_after(until_midnight_s),
    )
