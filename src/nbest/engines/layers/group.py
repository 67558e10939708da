"""Several engines that answer for each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from nbest.engines.layers.circuit import Circuit, State
from nbest.engines.layers.layer import EmittedGuard
from nbest.errors import EngineError
from nbest.protocols import Capabilities, Engine, OnDelta
from nbest.types import Completion, Logprobs, Prompt, Request, replace

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineGroup:
    """Engines with a circuit breaker each. A subclass says in which order they are called.

    Raises one `EngineError` that holds every engine's, transient if any is. Once a part of the text was emitted, no
    other engine is called.
    """

    engines: tuple[Engine, ...]
    circuits: tuple[Circuit, ...] = field(init=False, repr=False, compare=False)
    """One for each engine."""
    _loads: list[int] = field(init=False, repr=False, compare=False)

    @property
    def states(self) -> Mapping[str, State]:
        """closed, open or half_open, by the engine's name."""
        return {e.name: c.state for e, c in zip(self.engines, self.circuits, strict=True)}

    @property
    def loads(self) -> Mapping[str, int]:
        """Sequences in flight, by the engine's name."""
        return {e.name: load for e, load in zip(self.engines, self._loads, strict=True)}

    async def capabilities(self) -> Capabilities:
        """Those of the first engine that works."""
        return await self._first(self._by_health(), lambda e: e.capabilities(), proves=False)

    async def aclose(self) -> None:
        for engine in self.engines:
            await engine.aclose()

    def _by_health(self) -> list[int]:
        """Places of the engines, those first that may be called now."""
        return sorted(range(len(self.engines)), key=lambda i: not self.circuits[i].is_ready)

    def _passes_on(self, error: EngineError) -> bool:
        """Whether the next engine is called after this error."""
        return True

    def _set_circuits(self, *, failures: int, cool_down_s: float, longest_s: float = 0.0) -> None:
        """Raises `ValueError` without engines."""
        if not self.engines:
            raise ValueError("engines must name at least one engine")
        circuits = [
            Circuit(failures=failures, cool_down_s=cool_down_s, longest_s=longest_s) for _ in self.engines
        ]
        object.__setattr__(self, "circuits", tuple(circuits))
        object.__setattr__(self, "_loads", [0] * len(circuits))

    async def _generate_in(
        self, order: Sequence[int], request: Request, on_delta: OnDelta | None
    ) -> Sequence[Completion]:
        """The completions of the first engine that succeeds, each with that engine's name."""
        guard = EmittedGuard(on_delta) if on_delta else None

        async def draw(engine: Engine) -> list[Completion]:
            drawn = await engine.generate(request, guard)
            return [replace(c, engine=c.engine or engine.name) for c in drawn]

        return await self._first(order, draw, guard, num_sequences=request.n)

    async def _logprobs_in(self, order: Sequence[int], prompt: Prompt, text: str) -> Logprobs:
        return await self._first(order, lambda e: e.logprobs(prompt, text), num_sequences=1)

    async def _first(
        self,
        order: Sequence[int],
        call: Callable[[Engine], Awaitable[_T]],
        guard: EmittedGuard | None = None,
        *,
        num_sequences: int = 0,
        proves: bool = True,
    ) -> _T:
        errors: list[EngineError] = []
        for i in order:
            engine = self.engines[i]
            self._loads[i] += num_sequences
            try:
                return await self.circuits[i].call(lambda engine=engine: call(engine), proves=proves)
            except EngineError as e:
                errors.append(e)
                has_emitted = guard is not None and guard.has_emitted
                if has_emitted or not self._passes_on(e):
                    break
            finally:
                self._loads[i] -= num_sequences
        if len(errors) == 1:
            raise errors[0]
        error = EngineError("; ".join(str(e) for e in errors))
        error.is_transient = any(e.is_transient for e in errors)
        error.causes = tuple(errors)
        raise error
