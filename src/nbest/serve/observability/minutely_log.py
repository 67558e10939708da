"""Messages about something that may happen thousands of times a second: one line a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

PERIOD_S: Final = 60.0


class MinutelyLog:
    """Logs a message at most once a minute, and how many times it was left out since."""

    def __init__(self, log: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._next_at: float | None = None
        self._num_left_out = 0

    def warning(self, message: str, *values: object) -> None:
        """Logs `message % values`, if nothing was logged within the last minute."""
        now = self._clock()
        if self._next_at is not None and now < self._next_at:
            self._num_left_out += 1
            return

        self._next_at = now + PERIOD_S
        if self._num_left_out:
            message += f" ({self._num_left_out} more times since the last such line)"
        self._num_left_out = 0
        self._log.warning(message, *values)
