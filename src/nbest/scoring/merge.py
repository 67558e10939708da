"""Merges concurrent verifier calls of different prompts into batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Asked(NamedTuple, Generic[T, R]):
    item: T
    result: asyncio.Future[R]


class Merger(Generic[T, R]):
    """Merges items into calls of at most `size`; keep one per server or model with `per_loop`.

    Nothing waits for a timer: a call goes out at once, as long as fewer than `num_calls` are under way, and
    takes along what has been asked for meanwhile, first come first served. So an idle server is asked
    without delay, and a busy one in batches as large as its backlog. A batch may hold items of several callers:
    what decides how an item is processed belongs into the key of `per_loop`, or into the item.
    """

    def __init__(
        self, run: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, size: int, num_calls: int = 1
    ) -> None:
        """`run` gives one result per item, in order; what it raises is raised to every caller of the batch."""
        self._run, self._size, self._num_idle = run, size, num_calls
        self._queue: deque[_Asked[T, R]] = deque()
        self._calls: dict[asyncio.Task[None], Sequence[_Asked[T, R]]] = {}

    async def __call__(self, items: Sequence[T]) -> list[R]:
        """One result per item. Cancelling gives them up; a batch whose callers were all cancelled is cancelled."""
        loop = asyncio.get_running_loop()
        asked: list[_Asked[T, R]] = [_Asked(item, loop.create_future()) for item in items]
        self._queue.extend(asked)
        loop.call_soon(self._start)  # after all callers of this turn of the loop
        try:
            return list(await asyncio.gather(*(a.result for a in asked)))
        finally:
            for a in asked:
                a.result.cancel()
            for call, batch in self._calls.items():
                if all(a.result.cancelled() for a in batch):
                    call.cancel()

    def _start(self) -> None:
        while self._num_idle and (batch := self._next()):
            self._num_idle -= 1
            call = asyncio.ensure_future(self._answer(batch))
            self._calls[call] = batch
            call.add_done_callback(self._calls.pop)

    def _next(self) -> list[_Asked[T, R]]:
        batch: list[_Asked[T, R]] = []
        while self._queue and len(batch) < self._size:
            asked = self._queue.popleft()
            if not asked.result.done():
                batch.append(asked)
        return batch

    async def _answer(self, batch: Sequence[_Asked[T, R]]) -> None:
        try:
            results: Sequence[Any] = await self._run([a.item for a in batch])
        except Exception as e:  # noqa: BLE001 (raised to the callers)
            for a in batch:
                if not a.result.done():
                    a.result.set_exception(e)
        else:
            for a, result in zip(batch, results, strict=True):
                if not a.result.done():
                    a.result.set_result(result)
        finally:
            self._num_idle += 1
            self._start()

    async def aclose(self) -> None:
        """Ends the calls under way."""
        self._queue.clear()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
