"""Engines and a strategy kept warm: async, and the same from plain Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import Self

import msgspec
from anyio.from_thread import BlockingPortal, start_blocking_portal

from nbest import registry
from nbest.datasets import Item, single
from nbest.errors import NbestError, SpecError
from nbest.protocols import Engine, Strategy
from nbest.records import RunWriter
from nbest.run import ask as ask_engines
from nbest.run import run_all
from nbest.types import Budget, Json, Message, Outcome, Prompt


async def ask_async(
    prompt: str | Prompt | Iterable[Message],
    *,
    engine: str | Engine = "llamacpp",
    strategy: str | Strategy = "parallel",
    seed: int = 0,
    budget: Budget | None = None,
    language: str | None = None,
) -> Outcome:
    """One better answer to `prompt`: `(await ask_async("…")).text`.

    `engine` and `strategy` are specs or instances. For more than one prompt keep a `Session`.
    Raises `NbestError` for what the caller has to mend (a wrong spec, a missing capability); a model that
    fails is in `Outcome.error`.
    """
    async with Session(engine=engine, strategy=strategy, seed=seed, budget=budget) as session:
        return await session.ask(single(prompt, language=language))


def ask(
    prompt: str | Prompt | Iterable[Message],
    *,
    engine: str | Engine = "llamacpp",
    strategy: str | Strategy = "parallel",
    seed: int = 0,
    budget: Budget | None = None,
    language: str | None = None,
) -> Outcome:
    """`ask_async` from plain Python, also where an event loop is already running (a notebook)."""
    with SyncSession(engine=engine, strategy=strategy, seed=seed, budget=budget) as session:
        return session.ask(single(prompt, language=language))


class Session:
    """Engines and a strategy, kept warm over many prompts.

    `engine` is a spec, an instance, or a mapping of names to either ("policy" answers; "judge",
    "verifier" and "fusor" may have engines of their own). All of them are closed with the session.
    """

    def __init__(
        self,
        *,
        engine: str | Engine | Mapping[str, str | Engine] = "llamacpp",
        strategy: str | Strategy = "parallel",
        seed: int = 0,
        budget: Budget | None = None,
    ) -> None:
        given = engine if isinstance(engine, Mapping) else {"policy": engine}
        if "policy" not in given:
            names = ", ".join(sorted(given))
            raise NbestError(f"no engine is called 'policy', which answers; engines: {names}")
        self.strategy: Strategy
        if isinstance(strategy, str):
            self.strategy = registry.parse("strategies", strategy)
        else:
            self.strategy = strategy
        self.engines: dict[str, Engine] = {
            name: engine_of(e) if isinstance(e, str) else e for name, e in given.items()
        }
        self.seed = seed
        self.budget = budget or Budget()

    @cached_property
    def config(self) -> dict[str, Json]:
        """What decides the outcomes: a run is resumed under an equal one only."""
        return {
            "engine": {name: registry.spec_of(e) for name, e in sorted(self.engines.items())},
            "strategy": registry.spec_of(self.strategy),
            "seed": self.seed,
            "budget": msgspec.to_builtins(self.budget),
        }

    async def ask(self, prompt: str | Prompt, gold: Mapping[str, Json] | None = None) -> Outcome:
        """One outcome; a model that fails is in its `error`."""
        return await ask_engines(
            single(prompt), self.strategy, self.engines, seed=self.seed, budget=self.budget, gold=gold
        )

    solve = ask
    """The older name."""

    async def check(self) -> None:
        """Asks every engine for its capabilities. Raises `EngineError` or `InputError` before anything is spent."""
        for engine in self.engines.values():
            await engine.capabilities()

    async def run(
        self,
        items: Sequence[Item],
        *,
        out: RunWriter | None = None,
        concurrency: int = 64,
        on_outcome: Callable[[Outcome], object] = lambda _: None,
    ) -> None:
        """Answers many prompts: `run_all` with this session's strategy."""
        await run_all(
            items,
            lambda item: self.ask(item.prompt, item.gold),
            out=out,
            concurrency=concurrency,
            on_outcome=on_outcome,
        )

    async def aclose(self) -> None:
        """Closes the engines."""
        for engine in self.engines.values():
            await engine.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class SyncSession:
    """`Session` for plain Python, to be used in a `with` block: the same calls on an event loop of its own."""

    def __init__(
        self,
        *,
        engine: str | Engine | Mapping[str, str | Engine] = "llamacpp",
        strategy: str | Strategy = "parallel",
        seed: int = 0,
        budget: Budget | None = None,
    ) -> None:
        self._session = Session(engine=engine, strategy=strategy, seed=seed, budget=budget)
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def ask(self, prompt: str | Prompt, gold: Mapping[str, Json] | None = None) -> Outcome:
        """As `Session.ask`."""
        if self._portal is None:
            raise NbestError("use the session in a  with  block")
        return self._portal.call(self._session.ask, prompt, gold)

    solve = ask
    """The older name."""

    def __enter__(self) -> Self:
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._stack.callback(self._portal.call, self._session.aclose)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal = None
        self._stack.__exit__(kind, value, trace)


def engine_of(spec: str, *, model: str | None = None) -> Engine:
    """The engine of a spec, with `model` where it is given; an OpenAI-compatible server with `retry` around it.

    Raises `SpecError`.
    """
    engine = registry.parse("engines", spec)
    if model is not None:
        if "model" not in {f.name for f in dataclasses.fields(engine) if f.init}:
            raise SpecError(f"`model` means nothing to engine  {registry.spec_of(engine)}")
        engine = dataclasses.replace(engine, model=model)
    if registry.spec_of(engine).startswith("openai"):
        return registry.load("engines", "retry")(engine=engine)
    return engine


solve, asolve = ask, ask_async
"""The older names of `ask` and `ask_async`."""
