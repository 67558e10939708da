"""Which sequences are drawn next, where a fixed number fits at once."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

PATIENCE = 64
"""Calls that may overtake the oldest one that waits to begin."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    n: int
    least: int
    granted: asyncio.Future[int]


class SlotScheduler:
    """Grants slots. Calls that continue a text come before calls that begin one, each first come first served.

    So texts in progress are finished before others are begun, and their cached prefixes are used before they
    are overwritten. At most `PATIENCE` calls overtake one that waits to begin.
    """

    def __init__(self, num_slots: int) -> None:
        self._free = self._num_slots = num_slots
        self._continuing: deque[_Waiting] = deque()
        self._beginning: deque[_Waiting] = deque()
        self._num_overtaken = 0
        """Calls that have overtaken the oldest one that waits to begin, in a row."""

    async def take(self, n: int, *, least: int | None = None, is_continued: bool = False) -> int:
        """Waits for `n` slots, or for `least` if so many are free first; gives the number granted."""
        n = min(n, self._num_slots)
        waiting = _Waiting(n, min(n, least or n), asyncio.get_running_loop().create_future())
        if is_continued:
            self._continuing.append(waiting)
        else:
            self._beginning.append(waiting)
        self._grant()
        try:
            return await waiting.granted
        except asyncio.CancelledError:
            was_granted = waiting.granted.done() and not waiting.granted.cancelled()
            if was_granted:
                self._free += waiting.granted.result()
            self._grant()  # those behind may fit now
            raise

    def give_back(self, n: int) -> None:
        self._free += n
        self._grant()

    def _grant(self) -> None:
        while True:
            queue = self._next()
            if not queue:
                return
            waiting = queue[0]
            num = min(waiting.n, self._free)
            if not waiting.granted.cancelled() and num < waiting.least:
                return
            queue.popleft()
            if waiting.granted.cancelled():
                continue
            has_overtaken = queue is self._continuing and bool(self._beginning)
            if has_overtaken:
                self._num_overtaken += 1
            else:
                self._num_overtaken = 0
            self._free -= num
            waiting.granted.set_result(num)

    def _next(self) -> deque[_Waiting]:
        must_begin = self._beginning and self._num_overtaken >= PATIENCE
        if self._continuing and not must_begin:
            return self._continuing
        return self._beginning
