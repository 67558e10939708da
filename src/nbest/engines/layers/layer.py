"""What every layer around one engine has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbest.protocols import Capabilities, Engine
from nbest.types import Completion, Logprobs, Prompt, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """An engine around an engine: passes on what it does not change, the name included."""

    engine: Engine

    @property
    def name(self) -> str:
        return self.engine.name

    async def capabilities(self) -> Capabilities:
        return await self.engine.capabilities()

    async def generate(self, request: Request) -> Sequence[Completion]:
        return await self.engine.generate(request)

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        return await self.engine.logprobs(prompt, text)

    async def aclose(self) -> None:
        await self.engine.aclose()
