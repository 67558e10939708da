"""Another engine when one fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from nbest.engines.layers.circuit import Circuit, State
from nbest.engines.layers.layer import EmittedGuard
from nbest.errors import EngineError
from nbest.protocols import Capabilities, Engine, OnDelta
from nbest.types import Completion, Logprobs, Prompt, Request, replace

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """Calls the first healthy engine; on an error the next, unless a part of the text was emitted already.

    An engine with `failures` server faults in a row (as for `breaker`) is skipped for `cool_down_s`,
    unless all the others fail; then one call at a time tries whether it works again. Raises one
    `EngineError` that holds every engine's, transient if any is. Capabilities are those of the engine
    that is called first.
    """

    is_open_to_clients: ClassVar[bool] = False

    engines: tuple[Engine, ...]
    cool_down_s: float = 30.0
    failures: int = 1
    _circuits: tuple[Circuit, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.engines:
            raise ValueError("engines must name at least one engine")
        circuits = (Circuit(failures=self.failures, cool_down_s=self.cool_down_s) for _ in self.engines)
        object.__setattr__(self, "_circuits", tuple(circuits))

    @property
    def name(self) -> str:
        return f"failover({', '.join(e.name for e in self.engines)})"

    @property
    def states(self) -> Mapping[str, State]:
        """closed, open or half_open, by the engine's name."""
        return {e.name: c.state for e, c in zip(self.engines, self._circuits, strict=True)}

    async def capabilities(self) -> Capabilities:
        return await self._first(lambda e: e.capabilities(), proves=False)

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        guard = EmittedGuard(on_delta) if on_delta else None

        async def draw(engine: Engine) -> list[Completion]:
            drawn = await engine.generate(request, guard)
            return [replace(c, engine=c.engine or engine.name) for c in drawn]

        return await self._first(draw, guard)

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        return await self._first(lambda e: e.logprobs(prompt, text))

    async def aclose(self) -> None:
        for engine in self.engines:
            await engine.aclose()

    async def _first(
        self,
        call: Callable[[Engine], Awaitable[_T]],
        guard: EmittedGuard | None = None,
        *,
        proves: bool = True,
    ) -> _T:
        errors: list[EngineError] = []
        pairs = zip(self.engines, self._circuits, strict=True)
        for engine, circuit in sorted(pairs, key=lambda pair: not pair[1].is_ready):
            try:
                return await circuit.call(lambda engine=engine: call(engine), proves=proves)
            except EngineError as e:
                errors.append(e)
                if guard and guard.has_emitted:
                    break
        if len(errors) == 1:
            raise errors[0]
        error = EngineError("; ".join(str(e) for e in errors))
        error.is_transient = any(e.is_transient for e in errors)
        error.causes = tuple(errors)
        raise error
