"""Work that must not delay a request: writing to disks and pipes."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from nbest.serve.observability.minutely_log import MinutelyLog

T = TypeVar("T")
_LOOK_S = 0.005
_REST_S = 0.05
"""After all that waited was done: threads that take turns for every item slow the event loop down."""
log = logging.getLogger(__name__)


class Background(Generic[T]):
    """One thread that does `work` on the items that it is offered, in order; a full queue drops the new item."""

    def __init__(
        self,
        work: Callable[[T], object],
        *,
        size: int,
        name: str,
        at_end: Callable[[], object] = lambda: None,
    ) -> None:
        self.num_dropped = 0
        """Not taken, because `size` items were waiting or `close` was called."""
        self.num_failed = 0
        """Taken, but `work` raised."""
        self._failures = MinutelyLog(log)
        self._work = work
        self._at_end = at_end
        self._size = size
        self._is_stuck = False
        self._waiting: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        # A daemon: a disk that hangs does not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        return self._waiting.qsize()

    def offer(self, item: T, *, patience_s: float = 0.0) -> bool:
        """Whether the item was taken. Blocks for a place for at most `patience_s`.

        Where no place came in that time, later calls do not block before some work was done.
        """
        if self._is_full and patience_s and not self._is_stuck:
            ends = time.monotonic() + patience_s
            while self._is_full and time.monotonic() < ends:
                time.sleep(_LOOK_S)
            self._is_stuck = self._is_full
        if self._closed.is_set() or self._is_full:
            self.num_dropped += 1
            return False
        self._waiting.put(item)
        return True

    @property
    def _is_full(self) -> bool:
        return self._waiting.qsize() >= self._size

    def close(self, seconds: float = 5.0) -> bool:
        """Takes no more items and does what waits; whether it was all done within `seconds`. Blocks."""
        if not self._closed.is_set():
            self._closed.set()
            self._waiting.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (item := self._waiting.get()) is not None:
                try:
                    self._work(item)
                except Exception as e:  # noqa: BLE001 (the next item may do better)
                    self.num_failed += 1
                    self._failures.warning("%s fails: %s", self._thread.name, e)
                self._is_stuck = False
                if self._waiting.empty():
                    self._closed.wait(_REST_S)
        finally:
            self._at_end()
