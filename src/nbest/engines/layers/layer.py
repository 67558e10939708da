"""What all layers around one engine share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbest.protocols import Capabilities, Engine, OnDelta
from nbest.types import Completion, Delta, Logprobs, Prompt, ReasoningDelta, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """An engine around an engine; forwards every call, and keeps the inner engine's name."""

    engine: Engine

    @property
    def name(self) -> str:
        return self.engine.name

    async def capabilities(self) -> Capabilities:
        return await self.engine.capabilities()

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        return await self.engine.generate(request, on_delta)

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        return await self.engine.logprobs(prompt, text)

    async def aclose(self) -> None:
        await self.engine.aclose()


class EmittedGuard:
    """Passes deltas on, and remembers whether text was emitted: it cannot be taken back, so that the call
    must not be made again. Reasoning may be emitted twice."""

    def __init__(self, on_delta: OnDelta) -> None:
        self._on_delta = on_delta
        self.has_emitted = False

    def __call__(self, delta: Delta) -> None:
        if not isinstance(delta, ReasoningDelta):
            self.has_emitted = True
        self._on_delta(delta)
