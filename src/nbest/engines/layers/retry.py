"""Retries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, TypeVar

from nbest.budget import seconds_left
from nbest.engines.layers.layer import EmittedGuard, Layer
from nbest.errors import EngineError, EngineHttpError, UnavailableError
from nbest.protocols import OnDelta
from nbest.types import Completion, Logprobs, Prompt, Request

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Layer):
    """Retries after transient errors: exponential backoff with full jitter, on top of `Retry-After`.

    The wait before retry k (from 0) is uniform in [0, min(longest_s, base_s · 2^k)], on top of what the
    server asks for. The last error is raised as it came: after `attempts`, or where the next wait would
    end later than `total_s` after the first try or than the prompt's deadline, or where a part of the
    text was emitted already. `capabilities` is not retried: a server that is not there is reported at once.
    """

    is_open_to_clients: ClassVar[bool] = False

    attempts: int = 4
    """Tries in all, the first included."""
    base_s: float = 0.5
    longest_s: float = 30.0
    total_s: float = 300.0
    _jitter: Random = field(init=False, repr=False, compare=False, default_factory=Random)
    """Unseeded: processes must not wait in step. It never reaches a draw."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, got {self.attempts}")
        if min(self.base_s, self.longest_s, self.total_s) < 0:
            raise ValueError("base_s, longest_s and total_s must not be negative")

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        guard = EmittedGuard(on_delta) if on_delta else None
        return await self._persist(lambda: self.engine.generate(request, guard), guard)

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        return await self._persist(lambda: self.engine.logprobs(prompt, text))

    async def _persist(self, call: Callable[[], Awaitable[_T]], guard: EmittedGuard | None = None) -> _T:
        ends = time.monotonic() + self.total_s
        for k in range(self.attempts - 1):
            try:
                return await call()
            except EngineError as e:
                wait_s = self._wait_s(e, k)
                has_emitted = guard is not None and guard.has_emitted
                is_too_long = wait_s > min(ends - time.monotonic(), seconds_left())
                if not e.is_transient or has_emitted or is_too_long:
                    raise
            await asyncio.sleep(wait_s)
        return await call()

    def _wait_s(self, error: EngineError, k: int) -> float:
        backoff_s = self._jitter.uniform(0.0, min(self.longest_s, self.base_s * 2**k))
        if isinstance(error, EngineHttpError | UnavailableError):
            return (error.retry_after_s or 0.0) + backoff_s
        return backoff_s
