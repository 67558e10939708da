"""How late the event loop is: whatever computes in it delays every request, `/health` too."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_EVERY_S: Final = 0.05
_WINDOW_S: Final = 60.0


class LoopLag:
    """Sleeps again and again, and measures how much later than asked for it goes on."""

    def __init__(self, observe: Callable[[float], object]) -> None:
        """`observe` gets every lag, in seconds."""
        self._observe = observe
        self._highest: deque[tuple[float, float]] = deque()
        """Times and lags of the last minute, each lag higher than all after it."""

    @property
    def max_s(self) -> float:
        """The highest lag of the last minute."""
        self._forget(time.monotonic())
        return self._highest[0][1] if self._highest else 0.0

    async def watch(self) -> None:
        """Runs until it is cancelled."""
        while True:
            asked = time.monotonic()
            await asyncio.sleep(_EVERY_S)
            now = time.monotonic()
            self.add(now, max(0.0, now - asked - _EVERY_S))

    def add(self, now: float, lag_s: float) -> None:
        """Notes a lag that was measured at `now`, on the clock of `time.monotonic`."""
        self._observe(lag_s)
        while self._highest and self._highest[-1][1] <= lag_s:
            self._highest.pop()
        self._highest.append((now, lag_s))
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._highest and self._highest[0][0] < now - _WINDOW_S:
            self._highest.popleft()
