"""Limits on concurrent sequences and tokens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

from nbest.engines.layers.layer import Layer
from nbest.protocols import OnDelta
from nbest.types import Completion, Logprobs, Prompt, Request

_BYTES_PER_TOKEN = 3
"""Of UTF-8; vocabularies have 2 to 5 in most languages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Layer):
    """At most `max_in_flight` sequences and `max_tokens_in_flight` tokens at once, first come first served.

    A request for n counts n sequences; its tokens are n · `max_tokens`, the most that it may draw, and those
    of the prompt, estimated at 3 bytes a token. One that is larger than a limit waits until it is alone, and
    nothing overtakes it.
    """

    is_open_to_clients: ClassVar[bool] = False

    max_in_flight: int = 256
    """Sequences, not calls."""
    max_tokens_in_flight: int | None = None
    """Prompts included: what a server's memory has to hold. None: any number."""
    _gate: _Gate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("max_in_flight", "max_tokens_in_flight"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        gate = _Gate(self.max_in_flight, self.max_tokens_in_flight or inf)
        object.__setattr__(self, "_gate", gate)

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        num_drawn = request.n * request.params.max_tokens
        async with self._gate.hold(request.n, num_drawn + _num_prompt_tokens(request.prompt, request.prefix)):
            return await self.engine.generate(request, on_delta)

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        async with self._gate.hold(1, _num_prompt_tokens(prompt, text)):
            return await self.engine.logprobs(prompt, text)


def _num_prompt_tokens(prompt: Prompt, text: str) -> int:
    texts = [m.content for m in prompt.messages] + [text]
    return sum(len(t.encode(errors="replace")) for t in texts) // _BYTES_PER_TOKEN


class _Gate:
    """A first-in-first-out semaphore over several resources, of each of which a caller takes any amount."""

    def __init__(self, *sizes: float) -> None:
        self._sizes = sizes
        self._free = sizes
        self._queue: deque[tuple[tuple[float, ...], asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, *wanted: float) -> AsyncGenerator[None]:
        places = tuple(map(min, wanted, self._sizes))
        if self._queue or not self._fits(places):
            await self._wait(places)
        else:
            self._take(places)
        try:
            yield
        finally:
            self._give_back(places)

    def _fits(self, places: tuple[float, ...]) -> bool:
        return all(p <= free for p, free in zip(places, self._free, strict=True))

    def _take(self, places: tuple[float, ...]) -> None:
        self._free = tuple(free - p for p, free in zip(places, self._free, strict=True))

    async def _wait(self, places: tuple[float, ...]) -> None:
        granted = asyncio.get_running_loop().create_future()
        self._queue.append((places, granted))
        try:
            await granted
        except asyncio.CancelledError:
            was_granted = granted.done() and not granted.cancelled()
            if was_granted:
                self._give_back(places)
            self._grant()  # those behind may fit now
            raise

    def _give_back(self, places: tuple[float, ...]) -> None:
        self._free = tuple(free + p for p, free in zip(places, self._free, strict=True))
        self._grant()

    def _grant(self) -> None:
        while self._queue:
            wanted, granted = self._queue[0]
            if not (granted.cancelled() or self._fits(wanted)):
                return
            self._queue.popleft()
            if not granted.cancelled():
                self._take(wanted)
                granted.set_result(None)
