"""Whose turn it is to draw where a fixed number of sequences fits."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

PATIENCE = 64
"""Calls that may pass the oldest one that waits to begin."""


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    n: int
    least: int
    granted: asyncio.Future[int]


class SlotScheduler:
    """Places for sequences. Calls that go on come before calls that begin, each first come first served.

    So texts in progress are finished before others are begun, and what the engine holds of them is used
    before it is written over. No more than `PATIENCE` calls pass one that waits to begin.
    """

    def __init__(self, num_places: int) -> None:
        self._free = self._num_places = num_places
        self._going_on: deque[_Wish] = deque()
        self._beginning: deque[_Wish] = deque()
        self._num_passed = 0

    async def take(self, n: int, *, least: int | None = None, goes_on: bool = False) -> int:
        """Waits for `n` places, or for `least` if that many come first; how many it got."""
        n = min(n, self._num_places)
        wish = _Wish(n, min(n, least or n), asyncio.get_running_loop().create_future())
        (self._going_on if goes_on else self._beginning).append(wish)
        self._grant()
        try:
            return await wish.granted
        except asyncio.CancelledError:
            came = wish.granted.done() and not wish.granted.cancelled()
            self.give_back(wish.granted.result() if came else 0)  # those behind may fit now
            raise

    def give_back(self, n: int) -> None:
        self._free += n
        self._grant()

    def _grant(self) -> None:
        while queue := self._next():
            wish = queue[0]
            num = min(wish.n, self._free)
            if not wish.granted.cancelled() and num < wish.least:
                return
            queue.popleft()
            if wish.granted.cancelled():
                continue
            self._num_passed = self._num_passed + 1 if queue is self._going_on and self._beginning else 0
            self._free -= num
            wish.granted.set_result(num)

    def _next(self) -> deque[_Wish]:
        must_begin = self._beginning and self._num_passed >= PATIENCE
        return self._going_on if self._going_on and not must_begin else self._beginning
