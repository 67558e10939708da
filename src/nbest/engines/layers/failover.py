"""Another engine when one fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbest.engines.layers.group import EngineGroup
from nbest.protocols import OnDelta
from nbest.types import Completion, Logprobs, Prompt, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover(EngineGroup):
    """Calls the first healthy engine; on an error the next, unless a part of the text was emitted already.

    An engine with `failures` server faults in a row (as for `breaker`) is skipped for `cool_down_s`,
    unless all the others fail; then one call at a time tries whether it works again. Raises one
    `EngineError` that holds every engine's, transient if any is. Capabilities are those of the engine
    that is called first.
    """

    is_open_to_clients: ClassVar[bool] = False

    cool_down_s: float = 30.0
    failures: int = 1

    def __post_init__(self) -> None:
        self._set_circuits(failures=self.failures, cool_down_s=self.cool_down_s)

    @property
    def name(self) -> str:
        return f"failover({', '.join(e.name for e in self.engines)})"

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        return await self._generate_in(self._by_health(), request, on_delta)

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        return await self._logprobs_in(self._by_health(), prompt, text)
