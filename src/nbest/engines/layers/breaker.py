"""No calls to a server that fails anyway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from nbest.engines.layers.circuit import Circuit, State
from nbest.engines.layers.layer import Layer
from nbest.errors import UnavailableError
from nbest.protocols import Capabilities, OnDelta
from nbest.types import Completion, Logprobs, Prompt, Request

_T = TypeVar("_T")
_BURST_S = 0.1
"""Within which the calls of one request begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker(Layer):
    """A circuit breaker: after `failures` server faults in a row, calls fail at once for `cool_down_s`.

    Then one call, with those that begin at the same time, is let through: if it succeeds all are, and if it
    fails the next cool-down begins, twice as long, up to `longest_s`. Calls that fail at the same time count
    as one. Server faults are 5xx, time-outs, broken replies and nobody answering; a refused request or 429
    is none. Raises `UnavailableError`, which says when the engine is tried again. Put it around `retry`.
    """

    is_open_to_clients: ClassVar[bool] = False

    failures: int = 5
    cool_down_s: float = 1.0
    longest_s: float = 30.0
    _circuit: Circuit = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.longest_s < 0:
            raise ValueError(f"longest_s must not be negative, got {self.longest_s:g}")
        circuit = Circuit(
            failures=self.failures,
            cool_down_s=self.cool_down_s,
            longest_s=self.longest_s,
            burst_s=_BURST_S,
        )
        object.__setattr__(self, "_circuit", circuit)

    @property
    def state(self) -> State:
        """closed: calls pass; open: none do; half_open: one does."""
        return self._circuit.state

    async def capabilities(self) -> Capabilities:
        if self.state == "open":
            raise self._unavailable()
        return await self._circuit.call(self.engine.capabilities, proves=False)  # mostly remembered

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        return await self._call(lambda: self.engine.generate(request, on_delta))

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        return await self._call(lambda: self.engine.logprobs(prompt, text))

    async def _call(self, make: Callable[[], Awaitable[_T]]) -> _T:
        if not self._circuit.is_ready:
            raise self._unavailable()
        return await self._circuit.call(make)

    def _unavailable(self) -> UnavailableError:
        left_s = self._circuit.ready_in_s
        when = "now, by another call"
        if left_s:
            when = f"in {left_s:.1f} s"
        return UnavailableError(
            f"{self.name} failed {self.failures} times in a row and is not called: it is tried again {when}",
            retry_after_s=left_s,
        )
