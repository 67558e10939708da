"""Request hedging: a second call where the first is slow."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import ClassVar

from nbest.engines.layers.layer import Layer
from nbest.errors import EngineError
from nbest.protocols import OnDelta
from nbest.types import Completion, Delta, Request

_WINDOW = 200
"""Calls whose durations are remembered."""
_MIN_CALLS = 20
"""Calls before a percentile means anything."""
_MAX_CREDIT = 10.0
"""Second calls that can be saved up, so that a server that slows down as a whole is not sent twice as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge(Layer):
    """Hedged requests (Dean & Barroso, "The Tail at Scale", 2013): a slow call is made a second time.

    A call that has not returned after `after_s`, or without it after the `percentile` of the last 200 calls
    (none of the first 20), is sent again unchanged. The first to succeed wins, or of streams the first to
    emit a delta, and the other is cancelled; the tokens of that one are in nobody's usage, though the
    server has computed them. A stream that has begun is not sent again.

    It pays where calls are slow by chance: several replicas behind one address, or a server that stalls.
    """

    is_open_to_clients: ClassVar[bool] = False

    after_s: float | None = None
    percentile: float = 95.0
    """Of all calls of this engine, short and long ones: a judge is better off with an engine of its own."""
    most: float = 0.1
    """Share of calls that may be made twice."""
    _live: _Live = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.after_s is not None and self.after_s < 0:
            raise ValueError(f"after_s must not be negative, got {self.after_s:g}")
        if not 0 < self.percentile < 100:  # noqa: PLR2004
            raise ValueError(f"percentile must be between 0 and 100, got {self.percentile:g}")
        if not 0 <= self.most <= 1:
            raise ValueError(f"most must be from 0 to 1, got {self.most:g}")
        object.__setattr__(self, "_live", _Live())

    @property
    def num_hedged(self) -> int:
        """How many calls were made twice so far."""
        return self._live.num_hedged

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        live = self._live
        race = _Race(on_delta)
        live.credit = min(live.credit + self.most, _MAX_CREDIT)
        started = time.monotonic()
        try:
            race.start(lambda emit: self.engine.generate(request, emit))
            await asyncio.wait(race.calls, timeout=self._patience_s())
            if race.is_open and live.credit >= 1:
                live.credit -= 1
                live.num_hedged += 1
                race.start(lambda emit: self.engine.generate(request, emit))
            drawn = await race.result()
        finally:
            await race.end()
        live.seconds.append(time.monotonic() - started)
        return drawn

    def _patience_s(self) -> float | None:
        """Until the second call; None: there is none."""
        seconds = self._live.seconds
        if self.after_s is not None or len(seconds) < _MIN_CALLS:
            return self.after_s
        return sorted(seconds)[ceil(self.percentile / 100 * len(seconds)) - 1]


@dataclass(slots=True)
class _Live:
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    credit: float = 0.0
    """Calls that may be made twice."""
    num_hedged: int = 0


class _Race:
    """The same call, once or twice. Of streams only the first to emit is passed on, and the other is cancelled."""

    def __init__(self, on_delta: OnDelta | None) -> None:
        self._on_delta = on_delta
        self._emitting: int | None = None
        """Index of the call whose deltas are passed on."""
        self.calls: list[asyncio.Future[Sequence[Completion]]] = []

    @property
    def is_open(self) -> bool:
        return self._emitting is None and not any(call.done() for call in self.calls)

    def start(self, call: Callable[[OnDelta | None], Awaitable[Sequence[Completion]]]) -> None:
        on_delta = self._emitter(len(self.calls), self._on_delta) if self._on_delta else None
        self.calls.append(asyncio.ensure_future(call(on_delta)))

    async def result(self) -> Sequence[Completion]:
        """Of the call that emits, else of the first that succeeds. Raises the first call's error."""
        waiting = set(self.calls)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for call in sorted(done, key=self.calls.index):
                if self._is_decided_by(call):
                    return call.result()
        return self.calls[0].result()

    async def end(self) -> None:
        """Cancels what still runs."""
        for call in self.calls:
            call.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)

    def _is_decided_by(self, call: asyncio.Future[Sequence[Completion]]) -> bool:
        if self._emitting is not None:
            return call is self.calls[self._emitting]
        return not _is_failure(call)

    def _emitter(self, index: int, on_delta: OnDelta) -> OnDelta:
        def emit(delta: Delta) -> None:
            if self._emitting is None:
                self._emitting = index
                for call in self.calls[:index] + self.calls[index + 1 :]:
                    call.cancel()
            if self._emitting == index:
                on_delta(delta)

        return emit


def _is_failure(call: asyncio.Future[Sequence[Completion]]) -> bool:
    """Whether it failed as engines do, or was cancelled because the other one emits."""
    return call.cancelled() or isinstance(call.exception(), EngineError)
