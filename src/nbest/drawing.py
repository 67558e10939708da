"""Drawing from engines: requests split by `max_n`, up to a quorum or the deadline, streamed where asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nbest.accounting.computed_texts import CallCosts, ComputedTexts
from nbest.accounting.meter import Meter
from nbest.accounting.open_calls import OpenCall, Pace, cut_usage
from nbest.accounting.tokens import estimated_tokens
from nbest.budget import BudgetLedger, deadline
from nbest.errors import EngineError
from nbest.protocols import Capabilities, Engine, OnDelta
from nbest.types import (
    Candidate,
    Completion,
    Delta,
    ReasoningDelta,
    Request,
    SamplingParams,
    Usage,
    replace,
)

_TOO_LATE = "not there at the deadline"
_CANCELLED = "cancelled: the quorum was reached without it"
_STOPPED = "cancelled: the draws before it were enough"
_MISSING = "the engine returned fewer draws than asked for"


def was_cancelled(candidate: Candidate) -> bool:
    """Whether the draw was cancelled because enough others were there first: a quorum, or by a stopping rule."""
    return candidate.error in {_CANCELLED, _STOPPED}


Arrivals = Mapping[int, Completion]
"""Draws that are there, in the order of arrival, by their places among all draws of a call of `draw_until`."""


class RequestObserver(Protocol):
    """Is told what happens while a prompt is answered. Its methods must not block."""

    wants_deltas: bool
    """Whether the final answer is to be streamed through `on_delta`."""
    meter: Meter
    """Counts what the prompt costs, so that it is known where there is no outcome too."""

    def on_completions(self, request: Request, completions: Sequence[Completion]) -> None:
        """A call of any role returned; after `on_error`, its failed completions."""
        ...

    def on_error(self, request: Request, error: EngineError) -> None:
        """A call raised."""
        ...

    def on_cut(self, request: Request, usage: Usage) -> None:
        """Calls for `request` were cut before they returned; `usage` is the estimate of what they had cost."""
        ...

    def on_delta(self, delta: Delta, /) -> None:
        """The next part of the final answer. What was emitted is never taken back."""
        ...


@dataclass(slots=True)
class _Draw:
    """A request under way."""

    request: Request
    on_delta: OnDelta | None = None
    is_precise: bool = False
    """Whether it is likely to be cut, so that its tokens should be counted as they are drawn."""
    cut: Usage = field(default_factory=Usage)
    """What calls for it that were cut had cost, as estimated."""
    completions: list[Completion | None] = field(init=False)
    """One place for each of the request's draws; None until it is there."""

    def __post_init__(self) -> None:
        self.completions = [None] * self.request.n

    def result(self, error: str = _TOO_LATE) -> list[Completion]:
        """All n completions; those that are not there are failed ones with `error`, and the first has what was cut."""
        drawn = [c or Completion.failed(error) for c in self.completions]
        if None in self.completions and self.cut.calls:
            first = self.completions.index(None)
            drawn[first] = Completion.failed(error, self.cut)
        return drawn


class Drawing:
    """Draws for one prompt. Each call is metered as it returns; a call that raises gives failed completions.

    A call that is cut is metered as estimated (`nbest.accounting.open_calls`). `engine_of` gives the engine of a
    request, `engine_name_of` its name in the configuration; `note` records a remark for the outcome; `on_deadline` is called
    whenever the deadline cuts a request.
    """

    def __init__(
        self,
        engine_of: Callable[[Request], Engine],
        engine_name_of: Callable[[Request], str],
        ledger: BudgetLedger,
        meter: Meter,
        *,
        observer: RequestObserver | None,
        note: Callable[[str], None],
        on_deadline: Callable[[], None],
    ) -> None:
        self._engine_of, self._engine_name_of = engine_of, engine_name_of
        self._ledger = ledger
        self._meter = meter
        self._observer = observer
        self._note = note
        self._on_deadline = on_deadline
        self._computed = ComputedTexts()
        self._pace = Pace()
        """Of engines that do not say themselves what a cut call had drawn."""
        self.emitted = ""
        """The text that `observer` has been given: an answer can only continue it."""

    async def draw(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """All requests at once; each gives exactly its n completions, failed ones included."""
        draws = [_Draw(request) for request in requests]
        await together(self._draw_before_deadline(draw) for draw in draws)
        return [draw.result() for draw in draws]

    async def draw_quorum(
        self,
        requests: Sequence[Request],
        quorum: int,
        grace: float,
        *,
        count_truncated: bool,
        is_precise: bool = True,
    ) -> list[list[Completion]]:
        """As `draw`, each draw a call of its own, until `quorum` draws are there without an error.

        The others then have `grace` times as long as it took until then; what is not there after that is
        cancelled. Draws that were cut at `max_tokens` count towards the quorum with `count_truncated` only. With
        `is_precise`, engines that can count the tokens of draws as they come, for those that will be cancelled.
        """
        draws = [
            _Draw(request.part(i, 1), is_precise=is_precise) for request in requests for i in range(request.n)
        ]
        tasks = [asyncio.ensure_future(self._draw_before_deadline(draw)) for draw in draws]

        def counts(completion: Completion | None) -> bool:
            if completion is None or completion.error is not None:
                return False
            return count_truncated or completion.finish != "length"

        def is_reached() -> bool:
            return sum(counts(draw.completions[0]) for draw in draws) >= quorum

        await _wait_until(is_reached, tasks, grace)
        completions = [
            draw.result(_CANCELLED if task.cancelled() else _TOO_LATE)[0]
            for draw, task in zip(draws, tasks, strict=True)
        ]
        return _by_request(requests, completions)

    async def draw_until(
        self, requests: Sequence[Request], is_enough: Callable[[Arrivals], Awaitable[bool]]
    ) -> list[list[Completion]]:
        """As `draw`, each draw a call of its own, until `is_enough`; calls under way are cancelled then.

        `is_enough` is asked each time that draws have come, failed ones included, with all that are there.
        """
        draws = [_Draw(request.part(i, 1), is_precise=True) for request in requests for i in range(request.n)]
        tasks = [asyncio.ensure_future(self._draw_before_deadline(draw)) for draw in draws]
        place_by_task = {task: place for place, task in enumerate(tasks)}
        arrivals: dict[int, Completion] = {}
        running = set(tasks)
        try:
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for place in sorted(place_by_task[task] for task in done):
                    tasks[place].result()
                    arrivals[place] = draws[place].result()[0]
                if await is_enough(arrivals):
                    break
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        completions = [arrivals.get(place) or draws[place].result(_STOPPED)[0] for place in range(len(draws))]
        return _by_request(requests, completions)

    async def stream(
        self, request: Request, observer: RequestObserver, *, is_first: bool
    ) -> list[Completion]:
        """As `draw` for one draw, passed on to `observer` as it is drawn if it continues what was emitted.

        Tool calls are passed on where `is_first` says that nothing was drawn before: if this draw failed
        halfway, an earlier candidate would have to be the answer, and a call cannot be taken back.
        """
        if not request.prefix.startswith(self.emitted):
            return (await self.draw([request]))[0]

        def emit(delta: Delta) -> None:
            if isinstance(delta, str):
                # The prefix goes out with the first text, so that a call that fails at once emits nothing.
                new = request.prefix[len(self.emitted) :] + delta
                self.emitted += new
                observer.on_delta(new)
            elif is_first or isinstance(delta, ReasoningDelta):
                observer.on_delta(delta)

        draw = _Draw(request, emit)
        await self._draw_before_deadline(draw)
        own = self.emitted[len(request.prefix) :]
        if draw.completions[0] is None and own:
            # What was emitted of a draw that the deadline cut is the answer.
            self._note("a stream was cut at the deadline: its tokens are estimated")
            return [Completion(text=own, finish="length", usage=draw.cut)]
        return draw.result()

    async def _draw_before_deadline(self, draw: _Draw) -> None:
        try:
            async with deadline(self._ledger.seconds_left):
                await self._fill(draw, 0, draw.request.n)
        except TimeoutError:
            self._on_deadline()

    async def _fill(self, draw: _Draw, start: int, n: int) -> None:
        """Draws places start … start + n − 1, in as many calls as the engine's `max_n` asks for."""
        request, engine = draw.request, self._engine_of(draw.request)
        try:
            can = await engine.capabilities()
            max_n = can.max_n or n
            if n > max_n:
                end = start + n
                await together(self._fill(draw, i, min(max_n, end - i)) for i in range(start, end, max_n))
                return
            completions = await self._call(engine, request.part(start, n), draw, counts_cut=can.counts_cut)
        except EngineError as e:
            completions = [Completion.failed(str(e))] * n
            if self._observer:
                self._observer.on_error(request, e)
        else:
            self._note_unsupported(request.params, await engine.capabilities(), engine.name)

        self._count(request, completions, engine)
        drawn = list(completions[:n]) or [Completion.failed(_MISSING)] * n
        draw.completions[start : start + len(drawn)] = drawn
        if len(drawn) < n:  # the server ignores n above its limit, and the engine knows by now
            await self._fill(draw, start + len(drawn), n - len(drawn))

    async def _call(
        self, engine: Engine, request: Request, draw: _Draw, *, counts_cut: bool
    ) -> Sequence[Completion]:
        """One call of the engine; what calls within it that were cut had drawn is counted, whatever becomes of it."""
        call = OpenCall(request)
        with cut_usage(is_precise=draw.is_precise) as cut:
            try:
                completions = await _generate(engine, request, draw.on_delta)
            except EngineError:
                if not counts_cut and draw.on_delta is not None and self.emitted:
                    cut.usage += self._estimate(call, draw)
                raise
            except asyncio.CancelledError:
                if not counts_cut:
                    cut.usage += self._estimate(call, draw)
                self._ledger.give_back(request)
                raise
            finally:
                if cut.usage.calls:
                    self._count_cut(engine, draw, cut.usage)
        if not counts_cut:
            self._pace.learn(call.seconds, completions, 0)
        return completions

    def _estimate(self, call: OpenCall, draw: _Draw) -> Usage:
        """What a cut call of an engine that does not say it may have cost: by what was streamed, else by its time."""
        own = self.emitted[len(draw.request.prefix) :]
        if draw.on_delta is not None and own:
            call.num_drawn = estimated_tokens(own)
        return call.estimate(self._pace)

    def _count(self, request: Request, completions: Sequence[Completion], engine: Engine) -> None:
        """Meters what a call returned."""
        model = completions[0].engine if completions else None
        model = model or engine.name
        costs = self._computed.count(request, completions, model)
        engine_name = self._engine_name_of(request)
        self._meter.count(request.role, completions, engine=engine_name, model=model, costs=costs)
        for completion in completions:
            hidden = completion.hidden
            if hidden.calls:
                # Each reads a text that has just been drawn, but for one token.
                costs = CallCosts(reused=max(0, hidden.prompt - hidden.calls), context=0)
                self._meter.add(request.role, hidden, engine=engine_name, model=model, costs=costs)
        self._ledger.settle(request, completions, costs.reused)
        if self._observer:
            self._observer.on_completions(request, completions)

    def _count_cut(self, engine: Engine, draw: _Draw, usage: Usage) -> None:
        """Meters what was cut as estimated, its prompt by that of an equal call where one has returned."""
        request, model = draw.request, engine.name
        num_prompt = self._computed.num_prompt(request, model)
        if num_prompt is not None and usage.calls == 1:
            num_cached = min(usage.cached, num_prompt)
            usage = replace(usage, prompt=num_prompt, cached=num_cached, estimated_prompt=num_prompt)
        draw.cut += usage
        costs = self._computed.count_cut(request, usage, model)
        engine_name = self._engine_name_of(request)
        self._meter.add(request.role, usage, engine=engine_name, model=model, costs=costs)
        self._ledger.charge(request, usage, costs.reused)
        if self._observer:
            self._observer.on_cut(request, usage)

    def _note_unsupported(self, params: SamplingParams, can: Capabilities, engine: str) -> None:
        is_unsupported = {
            "min_p": params.min_p > 0 and not can.min_p,
            "seed": params.seed is not None and not can.seed,
            "logprobs": params.logprobs is not None and not can.logprobs,
        }
        names = [name for name, is_so in is_unsupported.items() if is_so]
        if names:
            self._note(f"{engine} does not take {', '.join(names)}: drawn without")


async def _generate(engine: Engine, request: Request, on_delta: OnDelta | None) -> Sequence[Completion]:
    if on_delta is None:
        return await engine.generate(request)
    return await engine.generate(request, on_delta=on_delta)


def _by_request(requests: Sequence[Request], completions: Sequence[Completion]) -> list[list[Completion]]:
    """Single draws, in order, as one list for each request."""
    rest = iter(completions)
    return [[next(rest) for _ in range(request.n)] for request in requests]


async def together(work: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Awaits all at once. Where one raises, the others are cancelled and its exception is raised as it is."""
    coroutines = list(work)
    if len(coroutines) == 1:
        await coroutines[0]
        return

    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as e:
        first = e.exceptions[0]
        raise first from first.__cause__


async def _wait_until(
    is_reached: Callable[[], bool], tasks: Sequence[asyncio.Task[None]], grace: float
) -> None:
    """Waits until `is_reached` or all are done, then `grace` times as long for the rest, and cancels it.

    Raises what a task raises.
    """
    running = set(tasks)
    started = time.monotonic()
    ends_at: float | None = None
    try:
        while running and (ends_at is None or time.monotonic() < ends_at):
            timeout_s = None if ends_at is None else ends_at - time.monotonic()
            done, running = await asyncio.wait(
                running, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            if ends_at is None and is_reached():
                now = time.monotonic()
                ends_at = now + grace * (now - started)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
