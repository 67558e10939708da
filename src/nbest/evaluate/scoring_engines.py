"""The engines that a scorer asks while records are measured, and what they spend on it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

from nbest.accounting.meter import Meter
from nbest.context import Context
from nbest.datasets import Pool
from nbest.protocols import Engine, Scorer
from nbest.types import Candidate, Score, Usage

T = TypeVar("T")
R = TypeVar("R")

_MAX_NOTES: Final = 3


class Scoring(NamedTuple):
    """What scoring has spent, and what scorers remarked."""

    usage: Mapping[str, Usage]
    """By role."""
    notes: tuple[str, ...]
    """The commonest remarks, with the number of prompts that have them."""


NOTHING: Final = Scoring({}, ())


def spending(usage: Mapping[str, Usage]) -> str:
    """`judge 12 calls, 3400 input and 96 output tokens`, for each role."""
    return "; ".join(
        f"{role} {spent.calls} calls, {spent.prompt} input and {spent.completion} output tokens"
        for role, spent in usage.items()
    )


class ScoringEngines:
    """Engines by name, as in `Context`; without any, a scorer that asks a model raises `MissingEngineError`.

    In a `with` block all work runs on one event loop, as engines want it, and they are closed at its end.
    """

    def __init__(self, engines: Mapping[str, Engine] | None = None, *, concurrency: int = 64) -> None:
        self.engines: Mapping[str, Engine] = engines or {}
        self.concurrency = concurrency
        self._runner: asyncio.Runner | None = None
        self._meter = Meter()
        self._notes: Counter[str] = Counter()

    async def score(self, scorer: Scorer, pool: Pool, candidates: Sequence[Candidate]) -> Sequence[Score]:
        """One score per candidate for the pool's prompt, in order; what it costs is counted."""
        ctx = Context(self.engines, prompt_id=pool.prompt.id, gold=pool.gold)
        scores = await scorer(pool.prompt, candidates, ctx)
        for role, spent in ctx.meter.usage.items():
            self._meter.add(role, spent)
        self._notes.update(ctx.notes)
        return scores

    async def in_order(self, items: Iterable[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
        """The results of `work` in the order of `items`: `concurrency` at a time where engines are asked, else one by one."""
        if not self.engines:
            return [await work(item) for item in items]
        free = asyncio.Semaphore(self.concurrency)

        async def one(item: T) -> R:
            async with free:
                return await work(item)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
        return [task.result() for task in tasks]

    def take(self) -> Scoring:
        """What was spent and remarked since the last time."""
        remarks = self._notes.most_common(_MAX_NOTES)
        notes = tuple(f"{text} ({count} prompts)" for text, count in remarks)
        scoring = Scoring(self._meter.usage, notes)
        self._meter, self._notes = Meter(), Counter()
        return scoring

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs `work` to its end, in a `with` block on the block's event loop."""
        if self._runner is None:
            return asyncio.run(work)
        return self._runner.run(work)

    async def aclose(self) -> None:
        """Closes the engines."""
        for engine in self.engines.values():
            await engine.aclose()

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        try:
            self._runner.run(self.aclose())
        finally:
            self._runner.close()
            self._runner = None
