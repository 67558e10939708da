"""The one effectful object: what a strategy may do to the world, counted and kept within budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Protocol

from nbest import constraints
from nbest.accounting.meter import Meter
from nbest.accounting.tokens import estimated_tokens
from nbest.deadline import deadline
from nbest.errors import CapabilityError, EngineError
from nbest.protocols import Capabilities, Engine, OnDelta
from nbest.types import (
    Budget,
    Candidate,
    Completion,
    Delta,
    Json,
    ReasoningDelta,
    Request,
    Role,
    SamplingParams,
    Stopped,
    Usage,
    replace,
)

_TOO_LATE = "not there at the deadline"
_NOT_NEEDED = "cancelled: enough other draws were there first"


def was_cancelled(candidate: Candidate) -> bool:
    """Whether a quorum left it behind."""
    return candidate.error == _NOT_NEEDED


class RequestObserver(Protocol):
    """Who looks on while a prompt is answered."""

    wants_deltas: bool
    """Whether the answer is to be heard while it is written."""

    def on_completions(self, request: Request, completions: Sequence[Completion]) -> None:
        """A call came back, whatever it was for."""
        ...

    def on_error(self, request: Request, error: EngineError) -> None:
        """A call came back with nothing but an error."""
        ...

    def on_delta(self, piece: Delta) -> None:
        """A piece of the answer, which nothing will take back."""
        ...


class Context:
    """One prompt's engines, budget, meter, randomness and trace.

    `engines` maps names to engines; "policy" is the model that answers, and every role without an
    engine of its own (judge, verifier, fusor) falls back to it. `gold` is for oracle scorers alone.
    `one_call_per_draw`: each draw of a whole answer is a call of its own, so that at the deadline some are there.
    """

    def __init__(
        self,
        engines: Mapping[str, Engine],
        *,
        seed: int = 0,
        prompt_id: str = "",
        budget: Budget | None = None,
        gold: Mapping[str, Json] | None = None,
        observer: RequestObserver | None = None,
        one_call_per_draw: bool = False,
    ) -> None:
        self.engines = engines
        self.budget = budget or Budget()
        self.gold = gold or {}
        self.meter = Meter()
        self.candidates: list[Candidate] = []
        """The trace: every candidate drawn, failed ones included; `id` is the place in it."""
        self.notes: list[str] = []
        self.stopped: Stopped = "done"
        self.emitted = ""
        """As much of the answer as `observer` has heard already: it can only be continued."""
        self._observer = observer
        self._one_call_per_draw = one_call_per_draw
        self._seed = f"{seed}/{prompt_id}"
        self._samples_granted = 0
        self._tokens_granted = 0
        self._started = time.monotonic()

    def random(self, purpose: str) -> Random:
        """A fresh generator that depends on (run seed, prompt id, `purpose`) and nothing else."""
        return Random(f"{self._seed}/{purpose}")  # noqa: S311

    def note(self, text: str) -> None:
        """Records that something was done otherwise than asked; each text once."""
        if text not in self.notes:
            self.notes.append(text)

    def fall_back(self, why: str) -> None:
        """Records that what was asked to choose could not, and something else did."""
        self.note(why)
        if self.stopped == "done":
            self.stopped = "error"

    def engine_for(self, role: Role, name: str | None = None) -> Engine:
        """The engine called `name`, else the role's own, else the policy."""
        if name is not None and name not in self.engines:
            known = ", ".join(sorted(self.engines))
            raise CapabilityError(f"no engine is called {name!r}; known: {known}. Add  --engine {name}=SPEC")
        if not self.engines:
            raise CapabilityError(f"a {role} is needed here, and no engine was named: add  --engine SPEC")
        return self.engines[name] if name else self.engines.get(role, self.engines["policy"])

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline, never negative; None without one."""
        if self.budget.seconds is None:
            return None
        return max(0.0, self.budget.seconds - (time.monotonic() - self._started))

    async def capabilities(self, role: Role, name: str | None = None) -> Capabilities | None:
        """Of the engine that `engine_for` gives; None where it does not say, or not before the deadline.

        Calls of it will say what is wrong.
        """
        try:
            async with deadline(self.seconds_left):
                return await self.engine_for(role, name).capabilities()
        except EngineError:
            return None
        except TimeoutError:
            self.stopped = "deadline"
            return None

    async def sample(
        self,
        requests: Sequence[Request],
        *,
        quorum: int | None = None,
        grace: float = 0.0,
        count_truncated: bool = True,
        is_answer: bool = False,
    ) -> list[Candidate]:
        """Draws candidates, all requests at once, and appends them to the trace in request order.

        Draws that the budget forbids are left out (`stopped` says so). A draw that fails, is not there at
        the deadline, or is not what the client's `response_format` demands, is a candidate with `error`.

        `quorum` is a quorum: once that many draws are there without an error (and not cut at `max_tokens`,
        unless `count_truncated`), the others have `grace` times as long as it took until then; what is not there
        after that is cancelled, and is a candidate with `error` too. Each draw is then a call of its own, so
        that it can end by itself. What a cancelled call had drawn is not metered, for nobody says; the token
        budget keeps its worst case as spent.

        `is_answer` says of one draw that nothing else can be the answer if it is drawn well: whoever
        watches hears it while it is written, unless it may not fit the client's `response_format`, and others
        are there to take its place.
        """
        granted = [g for r in constraints.applied(requests) if (g := self._grant(r))]
        num = sum(r.n for r in granted)
        if quorum is None and self._one_call_per_draw and num > 1 and not any(r.is_part for r in granted):
            quorum = num
        if quorum is not None:
            drawn = await self._draw_quorum(granted, quorum, grace, count_truncated=count_truncated)
        elif is_answer and self._observer and self._observer.wants_deltas and self._is_final(granted):
            drawn = [await self._stream(granted[0], self._observer)]
        else:
            drawn = await self._draw_all(granted)
        new: list[Candidate] = []
        for request, completions in zip(granted, drawn, strict=True):
            engine = self.engine_for(request.role, request.engine).name
            for i, completion in enumerate(completions):
                new.append(self._candidate(len(self.candidates) + len(new), request, i, completion, engine))
        self.candidates.extend(new)
        return new

    def _is_final(self, requests: Sequence[Request]) -> bool:
        """Whether what is drawn will not be set aside once it was heard."""
        is_alone = [r.n for r in requests] == [1]
        return is_alone and not (self.candidates and constraints.has_format(requests[0].prompt))

    async def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Draws text that is no candidate (a judge's verdict), one list per request.

        Within the same budget: a request that it forbids gives an empty list.
        """
        granted = [self._grant(r) for r in requests]
        drawn = iter(await self._draw_all([g for g in granted if g]))
        return [next(drawn) if g else [] for g in granted]

    def amend(self, candidates: Iterable[Candidate]) -> None:
        """Puts candidates into the trace in place of those with their ids: what a strategy found out later,
        such as that a text is a step and not an answer. What was spent on them stays as it was counted."""
        for candidate in candidates:
            self.candidates[candidate.id] = candidate

    def can_grant(self, requests: Sequence[Request]) -> bool:
        """Whether the budget has room for all of `requests`, every draw at its `max_tokens`."""
        samples, tokens = self.budget.samples, self.budget.tokens
        wanted = sum(r.n for r in requests)
        worst = sum(r.n * r.params.max_tokens for r in requests)
        return (
            (samples is None or wanted <= samples - self._samples_granted)
            and (tokens is None or worst <= tokens - self._tokens_granted)
            and self.seconds_left != 0
        )

    @property
    def samples_left(self) -> int | None:
        """Draws that the budget still allows; None without a limit."""
        return None if self.budget.samples is None else self.budget.samples - self._samples_granted

    @property
    def tokens_left(self) -> int | None:
        """Tokens that the budget still allows, draws under way counted at their worst; None without a limit."""
        return None if self.budget.tokens is None else self.budget.tokens - self._tokens_granted

    @contextmanager
    def held_back(self, samples: int, tokens: int) -> Generator[None]:
        """Meanwhile the budget is smaller by so much, for everybody."""
        self._samples_granted += samples
        self._tokens_granted += tokens
        try:
            yield
        finally:
            self._samples_granted -= samples
            self._tokens_granted -= tokens

    def _candidate(self, id_: int, request: Request, i: int, c: Completion, engine: str) -> Candidate:
        problem = (
            None if request.is_part or request.prefix else constraints.constraint_violation(request.prompt, c)
        )
        return Candidate(
            id=id_,
            text=request.prefix + c.text,
            finish=c.finish,
            params=request.params_of(i),
            engine=c.engine or engine,
            usage=c.usage,
            logprobs=c.logprobs,
            parents=request.parents,
            language=request.language or request.prompt.language,
            error=c.error or problem,
            stopped_by=c.stopped_by,
            tool_calls=c.tool_calls,
            reasoning=c.reasoning,
        )

    def _grant(self, request: Request) -> Request | None:
        """The part of `request` that the budget allows, reserved at its worst case; None for nothing.

        Raises `CapabilityError` for an engine that is not there.
        """
        self.engine_for(request.role, request.engine)
        n, max_tokens = request.n, request.params.max_tokens
        if self.budget.samples is not None:
            n = min(n, self.budget.samples - self._samples_granted)
        if self.budget.tokens is not None and n > 0:
            left = self.budget.tokens - self._tokens_granted
            if left < n * max_tokens:
                self.note(
                    "the token budget counts a draw at its max_tokens until it is there: fewer or shorter ones were drawn"
                )
            n = min(n, max(1, left // max_tokens))
            max_tokens = min(max_tokens, left)
        if is_less := n < request.n or max_tokens < request.params.max_tokens:
            self.stopped = "budget"
        if n < 1 or max_tokens < 1:
            return None
        if self.seconds_left == 0:
            self.stopped = "deadline"
            return None
        self._samples_granted += n
        self._tokens_granted += n * max_tokens
        if not is_less:
            return request
        return replace(request, n=n, params=replace(request.params, max_tokens=max_tokens))

    async def _draw_all(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Every request at once; each gives exactly its n completions, failed ones included."""
        results: list[list[Completion | None]] = [[None] * r.n for r in requests]
        draws = [
            self._draw_before_deadline(request, into) for request, into in zip(requests, results, strict=True)
        ]
        await (draws[0] if len(draws) == 1 else together(draws))
        return [[c or Completion.failed(_TOO_LATE) for c in into] for into in results]

    async def _stream(self, request: Request, observer: RequestObserver) -> list[Completion]:
        """As `_draw_all`, heard while it is written, where what was heard before is its beginning."""
        if not request.prefix.startswith(self.emitted):
            return (await self._draw_all([request]))[0]

        is_alone = not self.candidates  # a call that fails after it was heard has nothing to stand behind

        def wrote(piece: Delta) -> None:
            if not isinstance(piece, str):
                if is_alone or isinstance(piece, ReasoningDelta):
                    observer.on_delta(piece)
                return
            said = request.prefix[len(self.emitted) :] + piece  # a call that fails at once has said nothing
            self.emitted += said
            observer.on_delta(said)

        into: list[Completion | None] = [None]
        await self._draw_before_deadline(request, into, wrote)
        if into[0] is None and (own := self.emitted[len(request.prefix) :]):
            return [self._cut(request, own, observer)]
        return [into[0] or Completion.failed(_TOO_LATE)]

    def _cut(self, request: Request, text: str, observer: RequestObserver) -> Completion:
        """A draw as far as it was heard; what it cost is estimated, for nobody will say it."""
        self.note("a stream was cut at the deadline: its tokens are estimated by length")
        read = "".join((*(m.content for m in request.prompt.messages), request.prefix))
        usage = Usage(prompt=estimated_tokens(read), completion=estimated_tokens(text), calls=1)
        cut = Completion(text=text, finish="length", usage=usage)
        self._count(request, [cut])
        observer.on_completions(request, [cut])
        return cut

    async def _draw_quorum(
        self, requests: Sequence[Request], quorum: int, grace: float, *, count_truncated: bool
    ) -> list[list[Completion]]:
        """As `_draw_all`, until `quorum` draws are there; those that come at the same moment are all kept."""
        slots: list[list[list[Completion | None]]] = [[[None] for _ in range(r.n)] for r in requests]
        tasks = [
            [
                asyncio.ensure_future(self._draw_before_deadline(request.part(i, 1), slot))
                for i, slot in enumerate(of_request)
            ]
            for request, of_request in zip(requests, slots, strict=True)
        ]
        flat = [slot for of_request in slots for slot in of_request]

        def counts(c: Completion | None) -> bool:
            return c is not None and c.error is None and (count_truncated or c.finish != "length")

        await _until(
            lambda: sum(counts(c) for slot in flat for c in slot) >= quorum,
            [task for of_request in tasks for task in of_request],
            grace,
        )
        return [
            [
                slot[0] or Completion.failed(_NOT_NEEDED if task.cancelled() else _TOO_LATE)
                for slot, task in zip(of_request, of_tasks, strict=True)
            ]
            for of_request, of_tasks in zip(slots, tasks, strict=True)
        ]

    async def _draw_before_deadline(
        self, request: Request, into: list[Completion | None], on_delta: OnDelta | None = None
    ) -> None:
        try:
            async with deadline(self.seconds_left):
                await self._draw(request, into, on_delta)
        except TimeoutError:
            self.stopped = "deadline"

    async def _draw(
        self,
        request: Request,
        into: list[Completion | None] | None = None,
        on_delta: OnDelta | None = None,
    ) -> list[Completion]:
        """Fills `into` as calls return, splitting the request as the engine's `max_n` asks for."""
        engine = self.engine_for(request.role, request.engine)
        slots: list[Completion | None] = [None] * request.n if into is None else into

        async def fill(start: int, n: int) -> None:
            try:
                max_n = (await engine.capabilities()).max_n or n
                if n > max_n:
                    await together(fill(i, min(max_n, start + n - i)) for i in range(start, start + n, max_n))
                    return
                part = request.part(start, n)
                completions = await (
                    engine.generate(part, on_delta=on_delta) if on_delta else engine.generate(part)
                )
            except EngineError as e:
                completions = [Completion.failed(str(e))] * n
                if self._observer:
                    self._observer.on_error(request, e)
            else:
                self._note_what_was_left_out(request.params, await engine.capabilities(), engine.name)
            self._count(request, completions)
            if self._observer:
                self._observer.on_completions(request, completions)
            slots[start : start + len(completions[:n])] = completions[:n]
            if 0 < len(completions) < n:  # a server that ignores n: the engine knows by now
                await fill(start + len(completions), n - len(completions))

        await fill(0, request.n)
        return [c or Completion.failed("the engine returned fewer draws than asked for") for c in slots]

    def _note_what_was_left_out(self, params: SamplingParams, can: Capabilities, engine: str) -> None:
        left_out = [
            *(["min_p"] if params.min_p > 0 and not can.min_p else []),
            *(["seed"] if params.seed is not None and not can.seed else []),
            *(["logprobs"] if params.logprobs is not None and not can.logprobs else []),
        ]
        if left_out:
            self.note(f"{engine} does not take {', '.join(left_out)}: drawn without")

    def _count(self, request: Request, completions: Sequence[Completion]) -> None:
        self.meter.count(request.role, completions)
        unused = sum(request.params.max_tokens - c.usage.completion for c in completions)
        self._tokens_granted -= max(0, unused)


async def together(work: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Does all at once. Where one raises, the others are cancelled and its exception is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as e:
        first = e.exceptions[0]
        raise first from first.__cause__


async def _until(is_enough: Callable[[], bool], tasks: Sequence[asyncio.Task[None]], grace: float) -> None:
    """Waits until it is enough or all are done, and `grace` times as long for the rest, then cancels it.

    Raises what a task raises.
    """
    running = set(tasks)
    started = time.monotonic()
    ends: float | None = None
    try:
        while running and (ends is None or time.monotonic() < ends):
            left_s = None if ends is None else ends - time.monotonic()
            done, running = await asyncio.wait(running, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if ends is None and is_enough():
                now = time.monotonic()
                ends = now + grace * (now - started)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
