"""How much each key may ask for: requests and tokens per minute, and requests at once. For one event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from nbest.serve.api_errors import ApiError, retry_after
from nbest.settings.gateway import Key

Clock = Callable[[], float]
"""Seconds, never going back."""

_MINUTE = 60.0


class Bucket:
    """A token bucket that holds a minute's worth and is refilled evenly. Debt is paid off first."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._size = self._level = float(per_minute)
        self._clock = clock
        self._refilled_at = clock()

    def wait_s(self, amount: float) -> float:
        """Seconds until it holds `amount`; 0 where it does."""
        now = self._clock()
        refill = (now - self._refilled_at) * self._size / _MINUTE
        self._level = min(self._size, self._level + refill)
        self._refilled_at = now
        return max(0.0, (amount - self._level) * _MINUTE / self._size)

    def spend(self, amount: float) -> None:
        """Takes `amount` out, which may be more than it holds."""
        self._level -= amount

    def give_back(self, amount: float) -> None:
        """Puts `amount` in again, which was taken out before."""
        self._level = min(self._size, self._level + amount)


@dataclass(slots=True)
class _Account:
    key: Key
    requests: Bucket | None
    tokens: Bucket | None
    num_under_way: int = 0
    num_reserved: int = 0
    """Tokens, of requests under way."""


class KeyLimits:
    """The limits of each key, by the key's name."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._account_by_name: dict[str, _Account] = {}

    @contextmanager
    def hold(self, key: Key) -> Generator[None]:
        """Around one request, its wait for a place included. Raises `ApiError` (429), which costs the key nothing."""
        account = self._account(key)
        _check(account)
        if account.requests:
            account.requests.spend(1)
        account.num_under_way += 1
        try:
            yield
        finally:
            account.num_under_way -= 1

    @contextmanager
    def reserved(self, key: Key, num_tokens: int) -> Generator[None]:
        """Around the work on a request: the tokens that it takes at most are spent, and given back when it is over.

        A request may reserve more than a minute's tokens; then no other begins until it is over. Raises `ApiError`
        (429) where the requests under way have reserved all that the key may spend.
        """
        account = self._account(key)
        bucket = account.tokens
        if bucket is None:
            yield
            return
        _check_tokens(account, bucket)
        bucket.spend(num_tokens)
        account.num_reserved += num_tokens
        try:
            yield
        finally:
            bucket.give_back(num_tokens)
            account.num_reserved -= num_tokens

    def charge(self, key: Key, num_tokens: int) -> None:
        """Spends what an answer took, which is known when it is there: later requests wait until it is paid.

        The limits that count are those of now, not of when the request came.
        """
        account = self._account_by_name.get(key.name)
        if account and account.tokens:
            account.tokens.spend(num_tokens)

    def _account(self, key: Key) -> _Account:
        """The account of the key's name; other limits in a new configuration leave requests under way counted."""
        account = self._account_by_name.get(key.name)
        if account is None:
            account = self._account_by_name[key.name] = _Account(key, *self._buckets(key))
        elif account.key is not key and account.key != key:
            account.key = key
            account.requests, account.tokens = self._buckets(key)
        return account

    def _buckets(self, key: Key) -> tuple[Bucket | None, Bucket | None]:
        return self._bucket(key.requests_per_minute), self._bucket(key.tokens_per_minute)

    def _bucket(self, per_minute: int | None) -> Bucket | None:
        return None if per_minute is None else Bucket(per_minute, self._clock)


def _check(account: _Account) -> None:
    """Raises `ApiError` where the key may not send a request now."""
    key = account.key
    if key.concurrency is not None and account.num_under_way >= key.concurrency:
        problem = f"has {key.concurrency} requests under way, as many as it may"
        raise rate_limited(key, problem, "requests", 1)

    request_wait_s = account.requests.wait_s(1) if account.requests else 0.0
    if request_wait_s:
        problem = f"may send {key.requests_per_minute} requests a minute"
        raise rate_limited(key, problem, "requests", request_wait_s)

    if account.tokens:
        _check_tokens(account, account.tokens)


def _check_tokens(account: _Account, bucket: Bucket) -> None:
    """Raises `ApiError` where no token is left, be they spent or reserved."""
    key = account.key
    wait_s = bucket.wait_s(1)
    if not wait_s:
        return
    problem = f"may spend {key.tokens_per_minute} tokens a minute"
    if account.num_reserved:
        # What they do not take comes back when they end, which may be soon.
        problem += f", and its requests under way may take {account.num_reserved}"
        wait_s = max(1.0, bucket.wait_s(1 - account.num_reserved))
    raise rate_limited(key, problem, "tokens", wait_s)


def rate_limited(key: Key, problem: str, kind: str, wait_s: float) -> ApiError:
    """For a request above a limit of its key, of `requests` or `tokens`."""
    wait = retry_after(wait_s)
    return ApiError(
        429,
        f"the key {key.name!r} {problem}: try again in {wait:g} s",
        kind=kind,
        code="rate_limit_exceeded",
        retry_after_s=wait,
    )
