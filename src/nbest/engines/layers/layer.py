"""What every layer around one engine has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbest.protocols import Capabilities, Engine, OnDelta
from nbest.types import Completion, Delta, Logprobs, Prompt, ReasoningDelta, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """An engine around an engine: passes on what it does not change, the name included."""

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
    """Passes pieces of a text on, and knows whether there was one: what was heard is not drawn again, but
    for what was merely thought."""

    def __init__(self, on_delta: OnDelta) -> None:
        self._on_text = on_delta
        self.has_begun = False

    def __call__(self, piece: Delta) -> None:
        self.has_begun = self.has_begun or not isinstance(piece, ReasoningDelta)
        self._on_text(piece)
