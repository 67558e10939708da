"""The end of this process at a given time, whatever its event loop and its threads do.

Worker processes end by themselves once the gateway is gone (`nbest.offload_worker`).
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time

_ALARM_S = 5
"""After which the system ends the process, where no thread of it can run any more."""


class ForcedEnd:
    """A thread that ends the process once the time is up. `within` may be called in a signal handler."""

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[tuple[float, int] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="nbest-forced-end", daemon=True).start()

    def within(self, seconds: float, *, exit_code: int) -> None:
        """The process ends with `exit_code` in `seconds` from now, unless it was to end sooner."""
        self._wanted.put((time.monotonic() + seconds, exit_code))
        signal.alarm(int(seconds) + _ALARM_S)

    def cancel(self) -> None:
        """It need not end any more."""
        self._wanted.put(None)
        signal.alarm(0)

    def _run(self) -> None:
        ends, exit_code = float("inf"), 0
        while True:
            left_s = ends - time.monotonic()
            try:
                wanted = self._wanted.get(timeout=None if left_s == float("inf") else max(0.0, left_s))
            except queue.Empty:
                _end(exit_code)
                return
            if wanted is None:
                return
            if wanted[0] < ends:
                ends, exit_code = wanted


def _end(exit_code: int) -> None:
    if exit_code:
        os.write(2, b"the gateway did not end in time, and is ended by force\n")
    os._exit(exit_code)
