"""A circuit breaker for one server. Source: M. Nygard, "Release It!" (2007), circuit breaker."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from nbest.errors import (
    EngineError,
    EngineHttpError,
    EngineProtocolError,
    EngineTimeoutError,
    UnreachableError,
)

State = Literal["closed", "open", "half_open"]
_T = TypeVar("_T")
_SERVER_FAULT = 500


class Circuit:
    """Opens after `failures` server faults in a row, for `cool_down_s`; then the next call (the probe) decides.

    If the probe fails too, the circuit stays open for twice as long as before, up to `longest_s`; if it
    succeeds, the circuit closes. Faults of calls that ran at the same time count as one, since one bad
    request may make many calls. Other calls may go with a probe that began less than `burst_s` ago. A
    refused request (4xx, 429 included) shows that the server works. Calls that began before the circuit
    opened change nothing afterwards.
    """

    def __init__(
        self, *, failures: int, cool_down_s: float, longest_s: float = 0.0, burst_s: float = 0.0
    ) -> None:
        if failures < 1:
            raise ValueError(f"failures must be at least 1, got {failures}")
        if cool_down_s < 0:
            raise ValueError(f"cool_down_s must not be negative, got {cool_down_s:g}")
        self._failures = failures
        self._first_s = self._cool_down_s = cool_down_s
        self._longest_s = max(longest_s, cool_down_s)
        self._burst_s = burst_s
        self._num_failures = 0
        self._num_counted = 0
        """Faults ever: a call that began before the last one is not counted again."""
        self._num_probes = 0
        self._probe_began = 0.0
        self._open_until: float | None = None
        """In the seconds of `time.monotonic`."""

    @property
    def state(self) -> State:
        if self._open_until is None:
            return "closed"
        if time.monotonic() < self._open_until:
            return "open"
        return "half_open"

    @property
    def is_ready(self) -> bool:
        """Whether a call may be made: any while closed, one (or one burst) at a time while half open."""
        if self.state != "half_open" or not self._num_probes:
            return self.state != "open"
        return time.monotonic() - self._probe_began < self._burst_s

    @property
    def ready_in_s(self) -> float:
        """Seconds until a probe may be made; 0 while closed."""
        if self._open_until is None:
            return 0.0
        return max(0.0, self._open_until - time.monotonic())

    async def call(self, make: Callable[[], Awaitable[_T]], *, proves: bool = True) -> _T:
        """Makes the call, ready or not, and learns from the outcome; a cancelled call teaches nothing.

        `proves` is False where the result may come from memory: then only a failure counts.
        """
        is_probe = proves and self.state != "closed"
        num_counted = self._num_counted
        if is_probe and not self._num_probes:
            self._probe_began = time.monotonic()
        self._num_probes += is_probe
        try:
            answer = await make()
        except EngineError as e:
            if is_probe or not proves or self.state == "closed":
                if not _is_server_fault(e):
                    self._learn_success(proves=proves)
                elif num_counted == self._num_counted:
                    self._learn_failure()
            raise
        else:
            if is_probe or self.state == "closed":
                self._learn_success(proves=proves)
            return answer
        finally:
            self._num_probes -= is_probe

    def end_cool_down(self) -> None:
        """Lets the next call through, to decide, if the circuit is open."""
        if self._open_until is not None:
            self._open_until = min(self._open_until, time.monotonic())

    def _learn_success(self, *, proves: bool) -> None:
        if proves:
            self._num_failures, self._open_until, self._cool_down_s = 0, None, self._first_s

    def _learn_failure(self) -> None:
        self._num_failures += 1
        self._num_counted += 1
        if self._open_until is not None:
            self._cool_down_s = min(2 * self._cool_down_s, self._longest_s)
        elif self._num_failures < self._failures:
            return
        self._open_until = time.monotonic() + self._cool_down_s


def _is_server_fault(error: EngineError) -> bool:
    if isinstance(error, EngineHttpError):
        return error.status >= _SERVER_FAULT
    return isinstance(error, UnreachableError | EngineTimeoutError | EngineProtocolError)
