"""How much each key may ask, and how much all may ask together. For one event loop; nothing here blocks."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from nbest.serve.api_errors import ApiError
from nbest.settings.gateway import Key

Clock = Callable[[], float]
"""Seconds, never going back."""

_MINUTE = 60.0
_LONGEST_WAIT_S = 600.0
_NEW_SHARE = 0.1
"""How much the latest service time counts in the running mean."""


class Bucket:
    """A minute's worth, refilled evenly. What is spent may exceed it: the debt is paid off first."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._size = self._level = float(per_minute)
        self._clock = clock
        self._at = clock()

    def wait_s(self, amount: float) -> float:
        """Until it holds `amount`; 0 where it does."""
        now = self._clock()
        self._level = min(self._size, self._level + (now - self._at) * self._size / _MINUTE)
        self._at = now
        return max(0.0, (amount - self._level) * _MINUTE / self._size)

    def spend(self, amount: float) -> None:
        self._level -= amount


@dataclass(slots=True)
class _Account:
    key: Key
    requests: Bucket | None
    tokens: Bucket | None
    at_work: int = 0


class KeyLimits:
    """Requests and tokens per minute and requests at once, of each key by itself."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._accounts: dict[str, _Account] = {}

    @contextmanager
    def hold(self, key: Key) -> Generator[None]:
        """Around one request, its waiting included. Raises `ApiError` (429), which costs the key nothing."""
        account = self._account(key)
        if key.concurrency is not None and account.at_work >= key.concurrency:
            raise _refusal(
                f"the key {key.name!r} has {key.concurrency} requests under way, as many as it may",
                "requests",
                1,
            )
        if account.requests and (wait := account.requests.wait_s(1)):
            raise _refusal(
                f"the key {key.name!r} may ask {key.requests_per_minute} times a minute", "requests", wait
            )
        if account.tokens and (wait := account.tokens.wait_s(1)):
            raise _refusal(
                f"the key {key.name!r} may spend {key.tokens_per_minute} tokens a minute", "tokens", wait
            )
        if account.requests:
            account.requests.spend(1)
        account.at_work += 1
        try:
            yield
        finally:
            account.at_work -= 1

    def charge(self, key: Key, num_tokens: int) -> None:
        """What an answer took, known when it is there: the next request waits until it is paid.

        Whatever the key's limits were when the request came, today's are charged.
        """
        account = self._accounts.get(key.name)
        if account and account.tokens:
            account.tokens.spend(num_tokens)

    def _account(self, key: Key) -> _Account:
        """Of the key's name; a reloaded configuration changes limits, and forgets no request at work."""
        account = self._accounts.get(key.name)
        if account is None:
            account = self._accounts[key.name] = _Account(key, *self._buckets(key))
        elif account.key is not key and account.key != key:
            account.key = key
            account.requests, account.tokens = self._buckets(key)
        return account

    def _buckets(self, key: Key) -> tuple[Bucket | None, Bucket | None]:
        requests, tokens = key.requests_per_minute, key.tokens_per_minute
        return (
            None if requests is None else Bucket(requests, self._clock),
            None if tokens is None else Bucket(tokens, self._clock),
        )


class Admission:
    """At most `concurrency` requests at work and `queue` waiting, first come first served."""

    def __init__(self, *, concurrency: int, queue: int, clock: Clock = time.monotonic) -> None:
        self._concurrency = concurrency
        self._queue = queue
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._at_work = 0
        self._service_s: float | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._stoppable: set[asyncio.Task[Any]] = set()
        self._is_over = False
        self.is_draining = False

    @property
    def num_at_work(self) -> int:
        return self._at_work

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """Around the work on one request; waits for its turn. Cancelling it gives the place back.

        Raises `ApiError`: 429 where too many wait, 503 where the gateway is stopping.
        """
        if self.is_draining:
            raise _stopping()
        if self._at_work < self._concurrency:
            self._take()
        elif len(self._waiting) < self._queue:
            await self._turn()
        else:
            raise ApiError(
                429,
                f"{self._at_work} requests are at work and {len(self._waiting)} wait: try again later",
                kind="server_error",
                code="overloaded",
                retry_after_s=self._expected_wait_s(),
            )
        started = self._clock()
        try:
            yield
        finally:
            took = self._clock() - started
            before = took if self._service_s is None else self._service_s
            self._service_s = before + _NEW_SHARE * (took - before)
            self._give_back()

    @contextmanager
    def stoppable(self) -> Generator[None]:
        """Around what this task does for a request: the end of a drain cancels it, and raises `ApiError` (503)."""
        task = asyncio.current_task()
        assert task
        self._stoppable.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self._is_over and not task.uncancel():
                raise _stopping() from None
            raise
        finally:
            self._stoppable.discard(task)

    def resize(self, *, concurrency: int, queue: int) -> None:
        """Other limits from now on; nobody who is in is sent away."""
        self._concurrency, self._queue = concurrency, queue
        self._admit()

    async def drain(self, seconds: float) -> int:
        """Lets nobody in and waits for those who are; how many were not done in time.

        After `seconds` those who still wait for their turn are refused, and those at work stopped.
        """
        self.is_draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            left = self._at_work + len(self._waiting)
            for turn in self._waiting:
                if not turn.done():
                    turn.set_exception(_stopping())
            self._waiting.clear()
            self._is_over = True
            for task in self._stoppable:
                task.cancel()
            return left
        return 0

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back()  # its turn came in the very moment
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _take(self) -> None:
        self._at_work += 1
        self._idle.clear()

    def _give_back(self) -> None:
        self._at_work -= 1
        self._admit()
        if not self._at_work:
            self._idle.set()

    def _admit(self) -> None:
        while self._waiting and self._at_work < self._concurrency:
            turn = self._waiting.popleft()
            if not turn.done():
                self._take()
                turn.set_result(None)

    def _expected_wait_s(self) -> float:
        """Until one more would have found a place: the queue's work, spread over all places."""
        mean = self._service_s or 0.0
        return _whole_s(mean * (len(self._waiting) + 1) / self._concurrency)


def _refusal(message: str, kind: str, wait_s: float) -> ApiError:
    wait = _whole_s(wait_s)
    return ApiError(
        429,
        f"{message}: try again in {wait:g} s",
        kind=kind,
        code="rate_limit_exceeded",
        retry_after_s=wait,
    )


def _stopping() -> ApiError:
    return ApiError(
        503,
        "this gateway is stopping: ask again, another one will answer",
        kind="server_error",
        code="stopping",
        retry_after_s=1.0,
    )


def _whole_s(seconds: float) -> float:
    return float(min(max(1, math.ceil(seconds)), _LONGEST_WAIT_S))
