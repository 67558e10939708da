"""How many requests are worked on at once, and how many wait; and the end of both. For one event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from nbest.serve.api_errors import ApiError, retry_after

_NEW_SHARE = 0.1
"""The weight of the latest service time in the running mean."""


class Admission:
    """At most `concurrency` requests at work and `queue` waiting, first come first served."""

    def __init__(self, *, concurrency: int, queue: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._concurrency = concurrency
        self._queue = queue
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._num_at_work = 0
        self._mean_service_s: float | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._stoppable: set[asyncio.Task[Any]] = set()
        self._is_over = False
        self.is_draining = False

    @property
    def num_at_work(self) -> int:
        """Requests that have a place."""
        return self._num_at_work

    @property
    def num_waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """Around the work on one request; waits for a place. Cancelling it gives the place back.

        Raises `ApiError`: 429 where the queue is full, 503 where the gateway is stopping.
        """
        await self._enter()
        started = self._clock()
        try:
            yield
        finally:
            self._count_service(self._clock() - started)
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
        """Other limits from now on; requests that are in stay in."""
        self._concurrency, self._queue = concurrency, queue
        self._admit_waiting()

    async def drain(self, seconds: float) -> int:
        """Admits no more requests and waits for those that are in; returns how many were not done in time.

        After `seconds`, requests in the queue get an error and those at work are cancelled.
        """
        self.is_draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            num_left = self._num_at_work + len(self._waiting)
            self._stop_all()
            return num_left
        return 0

    async def _enter(self) -> None:
        if self.is_draining:
            raise _stopping()
        if self._num_at_work < self._concurrency:
            self._take()
        elif len(self._waiting) < self._queue:
            await self._wait_for_place()
        else:
            raise self._overloaded()

    async def _wait_for_place(self) -> None:
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            was_given = place.done() and not place.cancelled() and place.exception() is None
            if was_given:
                self._give_back()  # in the moment of the cancellation
            elif place in self._waiting:
                self._waiting.remove(place)
            raise

    def _take(self) -> None:
        self._num_at_work += 1
        self._idle.clear()

    def _give_back(self) -> None:
        self._num_at_work -= 1
        self._admit_waiting()
        if not self._num_at_work:
            self._idle.set()

    def _admit_waiting(self) -> None:
        while self._waiting and self._num_at_work < self._concurrency:
            place = self._waiting.popleft()
            if not place.done():
                self._take()
                place.set_result(None)

    def _stop_all(self) -> None:
        for place in self._waiting:
            if not place.done():
                place.set_exception(_stopping())
        self._waiting.clear()
        self._is_over = True
        for task in self._stoppable:
            task.cancel()

    def _count_service(self, seconds: float) -> None:
        mean = seconds if self._mean_service_s is None else self._mean_service_s
        self._mean_service_s = mean + _NEW_SHARE * (seconds - mean)

    def _overloaded(self) -> ApiError:
        # Until one more would have found a place: the queue's work, spread over all places.
        work_s = (self._mean_service_s or 0.0) * (len(self._waiting) + 1)
        return ApiError(
            429,
            f"{self._num_at_work} requests are at work and {len(self._waiting)} wait: try again later",
            kind="server_error",
            code="overloaded",
            retry_after_s=retry_after(work_s / self._concurrency),
        )


def _stopping() -> ApiError:
    return ApiError(
        503,
        "this gateway is stopping: send the request again, after its restart or to another replica",
        kind="server_error",
        code="stopping",
        retry_after_s=1.0,
    )
