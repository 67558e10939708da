"""Replicas of one model, each call at the one with the least to do."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from nbest.engines.layers.circuit import Circuit
from nbest.engines.layers.group import EngineGroup
from nbest.errors import EngineError, NbestError
from nbest.protocols import Engine, OnDelta
from nbest.types import Completion, Logprobs, Message, Prompt, Request

_LONGEST_S = 60.0
"""Of a cool-down, which doubles with each failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance(EngineGroup):
    """Load balancing over replicas of one model: each call goes to the healthy engine with the fewest sequences in flight.

    An engine with `failures` server faults in a row (as for `breaker`) is passed over for `cool_down_s`, twice as long
    if it fails again, up to a minute; then one call tries whether it works again. After an error the call is made
    again at the next engine, unless a part of the text was emitted, or the request itself was refused (400, 413, 422).

    With `sticky`, calls that begin with the same system and first user messages go to the same engine, whose prefix
    cache holds them: by rendezvous hashing (Thaler & Ravishankar 1998), so that an engine that fails moves its own
    conversations alone. A conversation leaves an engine that is unhealthy, or that has `max_ahead` more sequences
    in flight than the idlest.

    Capabilities are those of the first engine that works: the engines should be alike.
    """

    is_open_to_clients: ClassVar[bool] = False

    sticky: bool = False
    max_ahead: int = 64
    """Sequences; for `sticky` alone."""
    cool_down_s: float = 5.0
    failures: int = 1
    check_s: float | None = None
    """Every so many seconds the engines that are servers are asked for their models, beginning with the first call: one
    that does not answer is passed over, and one that answers again may be called at once. None: only calls show it."""
    _live: _Live = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.max_ahead < 0:
            raise ValueError(f"max_ahead must not be negative, got {self.max_ahead}")
        if self.check_s is not None and self.check_s <= 0:
            raise ValueError(f"check_s must be above 0, got {self.check_s:g}")
        self._set_circuits(failures=self.failures, cool_down_s=self.cool_down_s, longest_s=_LONGEST_S)
        object.__setattr__(self, "_live", _Live())

    @property
    def name(self) -> str:
        return f"balance({', '.join(e.name for e in self.engines)})"

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        self._live.start_checks(self._check_all, self.check_s)
        return await self._generate_in(self._order(request.prompt), request, on_delta)

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        self._live.start_checks(self._check_all, self.check_s)
        return await self._logprobs_in(self._order(prompt), prompt, text)

    async def aclose(self) -> None:
        await self._live.stop_checks()
        await EngineGroup.aclose(self)

    def _passes_on(self, error: EngineError) -> bool:
        return not error.is_about_the_text

    def _order(self, prompt: Prompt) -> list[int]:
        """Places of the engines: those that may be called now, the idlest first; ties take turns."""
        self._live.num_calls += 1
        num = len(self.engines)

        def busyness(i: int) -> tuple[bool, int, int]:
            return (not self.circuits[i].is_ready, self._loads[i], (i - self._live.num_calls) % num)

        order = sorted(range(num), key=busyness)
        if not self.sticky:
            return order
        own = self._engine_of_conversation(prompt, idlest=order[0])
        return [own, *(i for i in order if i != own)]

    def _engine_of_conversation(self, prompt: Prompt, *, idlest: int) -> int:
        """The place of the engine that the conversation stays with; the idlest one where that is none."""
        key = _conversation(prompt.messages)
        ranked = sorted(range(len(self.engines)), key=lambda i: hashlib.sha256(b"%d %b" % (i, key)).digest())
        most = self._loads[idlest] + self.max_ahead
        for i in ranked:
            if self.circuits[i].is_ready and self._loads[i] <= most:
                return i
        return idlest

    async def _check_all(self) -> None:
        await asyncio.gather(*map(_check, self.engines, self.circuits))


def _conversation(messages: Sequence[Message]) -> bytes:
    """A digest of how a conversation begins: up to its first user turn, which later turns do not change."""
    num_first = next((i for i, m in enumerate(messages, start=1) if m.role == "user"), len(messages))
    return hashlib.sha256(msgspec.json.encode(messages[:num_first])).digest()


async def _check(engine: Engine, circuit: Circuit) -> None:
    """Opens the circuit of a server that does not list its models, and ends the cool-down of one that does."""
    served = _served_of(engine)
    if served is None:
        return
    try:
        await circuit.call(served, proves=False)
    except NbestError:
        return
    circuit.end_cool_down()


def _served_of(engine: Any) -> Callable[[], Awaitable[object]] | None:
    """What asks the server inside an engine's layers for its models; None where there is none."""
    while not hasattr(engine, "served"):
        if not hasattr(engine, "engine"):
            return None
        engine = engine.engine
    return engine.served


class _Live:
    """What changes behind a frozen engine."""

    def __init__(self) -> None:
        self.num_calls = 0
        self._checks: asyncio.Task[None] | None = None

    def start_checks(self, check: Callable[[], Awaitable[None]], every_s: float | None) -> None:
        """Checks in this event loop from now on, unless that is being done."""
        if every_s is None:
            return
        loop = asyncio.get_running_loop()
        if self._checks is None or self._checks.get_loop() is not loop:
            self._checks = loop.create_task(_repeated(check, every_s))

    async def stop_checks(self) -> None:
        checks, self._checks = self._checks, None
        if checks is None or checks.get_loop() is not asyncio.get_running_loop():
            return
        checks.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await checks


async def _repeated(check: Callable[[], Awaitable[None]], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await check()
