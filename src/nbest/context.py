"""The one effectful object: what a strategy may do to the world, counted and kept within budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from random import Random

from nbest import constraints
from nbest.accounting.meter import Meter
from nbest.asked_scores import AskedScores
from nbest.budget import BudgetLedger, deadline
from nbest.drawing import Arrivals, Drawing, RequestObserver
from nbest.errors import EngineError, MissingEngineError
from nbest.offload import Turns
from nbest.pilot import Pilot
from nbest.protocols import Capabilities, Engine, Scorer
from nbest.registry import spec_of
from nbest.types import Budget, Candidate, Completion, Json, Prompt, Request, Role, Score, Stopped


class Context:
    """One prompt's engines, budget, meter, randomness and trace.

    `engines` maps names to engines: "policy" answers, and every role without an engine of its own (judge,
    verifier, fusor) falls back to it. `gold` is for oracle scorers alone. `observer` is told of every call.
    With `one_call_per_draw` each draw of a whole answer is a call of its own, so that some are there at a
    deadline that cuts others.
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
        self.gold = gold or {}
        self.meter = Meter() if observer is None else observer.meter
        self.candidates: list[Candidate] = []
        """The trace: every candidate drawn, failed ones included; `id` is the place in it."""
        self._pilot = Pilot()
        self.scores = AskedScores()
        """What scorers said of candidates, and of their steps."""
        self.notes: list[str] = []
        self.stopped: Stopped = "done"
        self._seed = f"{seed}/{prompt_id}"
        self._turns = Turns()
        """A strategy that asks for what the budget forbids waits for nothing: it too lets others run."""
        self._observer = observer
        self._one_call_per_draw = one_call_per_draw
        self._ledger = BudgetLedger(budget or Budget())
        self._drawing = Drawing(
            self._engine_of,
            self._engine_name_of,
            self._ledger,
            self.meter,
            observer=observer,
            note=self.note,
            on_deadline=self._stop_at_deadline,
        )

    def random(self, purpose: str) -> Random:
        """A fresh generator that depends on (run seed, prompt id, `purpose`) and nothing else."""
        return Random(f"{self._seed}/{purpose}")  # noqa: S311

    # What is recorded besides candidates.

    def note(self, text: str) -> None:
        """Adds a remark to the outcome, such as that something was done otherwise than asked; each text once."""
        if text not in self.notes:
            self.notes.append(text)

    def fall_back(self, why: str) -> None:
        """Records that what should have chosen the answer failed, and something else chose: `stopped` is "error"."""
        self.note(why)
        if self.stopped == "done":
            self.stopped = "error"

    # Engines.

    def engine_for(self, role: Role, name: str | None = None) -> Engine:
        """The engine called `name`, else the role's own, else the policy.

        Raises `MissingEngineError` where there is none.
        """
        if name is not None and name not in self.engines:
            known = ", ".join(sorted(self.engines)) or "none"
            why = f"no engine is called {name!r}; engines: {known}. Add it to `engine`, as {name}=SPEC"
            raise MissingEngineError(why, name=name)
        if not self.engines:
            raise MissingEngineError(
                f"a {role} is needed here, and no engine is given: add `engine`", name=None
            )
        return self.engines[name] if name else self.engines.get(role, self.engines["policy"])

    async def capabilities(self, role: Role, name: str | None = None) -> Capabilities | None:
        """What the engine that `engine_for` gives can do; None where it does not answer, or not before the deadline.

        A call of such an engine will raise, and say why.
        """
        try:
            async with deadline(self.seconds_left):
                return await self.engine_for(role, name).capabilities()
        except EngineError:
            return None
        except TimeoutError:
            self._stop_at_deadline()
            return None

    # The budget.

    @property
    def samples_left(self) -> int | None:
        """Draws that the budget still allows; None without a limit."""
        return self._ledger.samples_left

    @property
    def tokens_left(self) -> int | None:
        """Tokens that the budget still allows, draws under way counted at `max_tokens`; None without a limit."""
        return self._ledger.tokens_left

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the deadline, at least 0; None without one."""
        return self._ledger.seconds_left

    def can_grant(self, requests: Sequence[Request]) -> bool:
        """Whether the budget has room for all of `requests`, every draw at its `max_tokens`."""
        return self._ledger.can_grant(requests)

    def price_steps(self, steps_per_answer: float, num_finished: int) -> None:
        """Tells the budget how many steps an answer of a search takes, and how many the search has finished."""
        self._ledger.price_steps(steps_per_answer, num_finished)

    def held_back(self, samples: int, tokens: int) -> AbstractContextManager[None]:
        """Inside the block the budget is smaller by so much, for whatever is drawn for this prompt."""
        return self._ledger.held_back(samples, tokens)

    # What a strategy may do.

    async def sample(
        self,
        requests: Sequence[Request],
        *,
        quorum: int | None = None,
        grace: float = 0.0,
        count_truncated: bool = True,
        is_answer: bool = False,
        until: Callable[[Sequence[Candidate]], Awaitable[bool]] | None = None,
        is_pilot: bool = False,
    ) -> list[Candidate]:
        """Draws candidates, all requests at once, and appends them to the trace in request order.

        Draws that the budget forbids are left out (`stopped` says so). A token budget counts a draw at its `max_tokens`
        until it is there: draws for which it has no room before that come in a next wave. A draw that fails, is not there at
        the deadline, or is not what the client's `response_format` demands, is a candidate with `error`.

        `quorum`: once that many draws are there without an error (and not cut at `max_tokens`, unless
        `count_truncated`), the others have `grace` times as long as it took until then; what is not there
        after that is cancelled, and is a candidate with `error` too. Each draw is then a call of its own.
        The usage of a cancelled call is estimated, and marked as that.

        `until`: asked each time that draws have come, with all that are there in the order of arrival; where it is
        True, the others are cancelled at once, and each of them is a candidate with `error`. It comes instead of a
        quorum, and each draw is a call of its own here too.

        `is_answer`: if this one draw succeeds, it is the answer. It is streamed to an observer that wants
        deltas, unless it may fail the client's `response_format` while other candidates could take its place.

        `is_pilot`: whoever asks for the same draws later (the same prompt, engine, parameters and seeds, whatever the
        method) gets these candidates again, free of charge, so that a pilot is the beginning of the pool that follows.
        """
        await self._turns.give()
        requests = constraints.applied(requests)
        if is_pilot:
            new = await self._draw_new(requests, quorum, grace, until, count_truncated=count_truncated)
            self._pilot.add(requests, new)
            return new
        known, requests = self._pilot.split(requests)
        if not known:
            return await self._draw_new(
                requests, quorum, grace, until, count_truncated=count_truncated, is_answer=is_answer
            )

        if quorum is not None:
            quorum = max(0, quorum - len(known))
        if until is not None:
            until = _after(known, until)
            if await until([]):
                return known
        new = await self._draw_new(requests, quorum, grace, until, count_truncated=count_truncated)
        return sorted([*known, *new], key=lambda c: c.id)

    async def _draw_new(
        self,
        requests: Sequence[Request],
        quorum: int | None,
        grace: float,
        until: Callable[[Sequence[Candidate]], Awaitable[bool]] | None,
        *,
        count_truncated: bool,
        is_answer: bool = False,
    ) -> list[Candidate]:
        """`sample` of draws that no pilot has made."""
        if quorum is not None or until is not None:
            granted, left_out = self._grant_all(requests)
            if left_out:
                self._leave_out(left_out)
            return await self._sample(granted, quorum, grace, until, count_truncated=count_truncated)

        new: list[Candidate] = []
        rest = list(requests)
        while rest:
            granted, rest = self._grant_all(rest)
            if not granted:
                if rest:
                    self._leave_out(rest)
                break
            new += await self._sample(granted, None, grace, None, is_answer=is_answer and not new)
        return new

    async def _sample(
        self,
        granted: Sequence[Request],
        quorum: int | None,
        grace: float,
        until: Callable[[Sequence[Candidate]], Awaitable[bool]] | None,
        *,
        count_truncated: bool = True,
        is_answer: bool = False,
    ) -> list[Candidate]:
        """`sample` of what the budget grants."""
        num_draws = sum(r.n for r in granted)
        is_precise = quorum is not None
        if (
            quorum is None
            and until is None
            and self._one_call_per_draw
            and num_draws > 1
            and not any(r.is_part for r in granted)
        ):
            quorum = num_draws

        if until is not None:
            drawn = await self._draw_until(granted, until)
        elif quorum is not None:
            drawn = await self._drawing.draw_quorum(
                granted, quorum, grace, count_truncated=count_truncated, is_precise=is_precise
            )
        elif is_answer and self._observer and self._observer.wants_deltas and self._is_final(granted):
            is_first = not self.candidates
            drawn = [await self._drawing.stream(granted[0], self._observer, is_first=is_first)]
        else:
            drawn = await self._drawing.draw(granted)

        violations = [await self._violations(r, c) for r, c in zip(granted, drawn, strict=True)]
        # No await from here on: ids are places in the trace.
        new: list[Candidate] = []
        for request, completions, found in zip(granted, drawn, violations, strict=True):
            engine = self._engine_of(request).name
            for i, (completion, violation) in enumerate(zip(completions, found, strict=True)):
                id_ = len(self.candidates) + len(new)
                new.append(_candidate(id_, request, i, completion, engine, violation))
        self.candidates.extend(new)
        return new

    async def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Draws text that is no candidate (a judge's verdict), one list per request.

        Within the same budget: a request that it forbids gives an empty list.
        """
        await self._turns.give()
        granted: list[Request | None] = []
        for request in requests:
            parts, left_out = self._grant_all([request])
            if left_out:
                self._leave_out(left_out)
            granted += parts or [None]
        drawn = iter(await self._drawing.draw([g for g in granted if g]))
        return [next(drawn) if g else [] for g in granted]

    async def score(self, scorer: Scorer, prompt: Prompt, candidates: Sequence[Candidate]) -> Sequence[Score]:
        """One score per candidate, in order.

        Where the scorer's engine fails, every value is None, the outcome has a note and `stopped` is "error":
        a failed verifier costs its scores, never an answer that was drawn.
        """
        try:
            return await self.ask_scorer(scorer, prompt, candidates)
        except EngineError as e:
            self.fall_back(f"{spec_of(scorer)} failed, and {len(candidates)} candidates have no score: {e}")
            return [Score(value=None)] * len(candidates)

    async def ask_scorer(
        self, scorer: Scorer, prompt: Prompt, candidates: Sequence[Candidate]
    ) -> Sequence[Score]:
        """As `score`, for callers that see to failures themselves. Raises `EngineError`.

        Each text is asked about once, and not at all where a record has its score; a scorer whose values depend on
        the other candidates of a call is asked each time. What is found is in the outcome's `scores`.
        """
        new = self.scores.unknown(scorer, prompt, candidates)
        scores: Sequence[Score] = ()
        if new:
            scores = await scorer(prompt, new, self)
        self.scores.add(scorer, prompt, new, scores)
        if len(new) == len(candidates):
            return scores
        return self.scores.of(scorer, prompt, candidates)

    def amend(self, candidates: Iterable[Candidate]) -> None:
        """Replaces candidates of the trace by those with the same ids, as when a text turns out to be a step.

        Their usage stays as it was metered.
        """
        for candidate in candidates:
            self.candidates[candidate.id] = candidate

    @property
    def emitted(self) -> str:
        """As much of the answer as the observer has been given: it can only be continued."""
        return self._drawing.emitted

    async def _draw_until(
        self, requests: Sequence[Request], until: Callable[[Sequence[Candidate]], Awaitable[bool]]
    ) -> list[list[Completion]]:
        """Draws until `until`, which sees completions as the candidates that they will be."""
        places = [(request, i) for request in requests for i in range(request.n)]
        first_id = len(self.candidates)
        candidates: dict[int, Candidate] = {}

        async def is_enough(arrivals: Arrivals) -> bool:
            for place in [place for place in arrivals if place not in candidates]:
                request, i = places[place]
                [violation] = await self._violations(request, [arrivals[place]])
                engine = self._engine_of(request).name
                candidates[place] = _candidate(
                    first_id + place, request, i, arrivals[place], engine, violation
                )
            return await until(list(candidates.values()))

        return await self._drawing.draw_until(requests, is_enough)

    async def _violations(self, request: Request, completions: Sequence[Completion]) -> list[str | None]:
        """For each completion how it breaks the client's constraints, which hold for whole answers alone."""
        is_whole = not (request.is_part or request.prefix)
        if not is_whole:
            return [None] * len(completions)
        return await constraints.constraint_violations(request.prompt, completions, seconds=self.seconds_left)

    def _engine_of(self, request: Request) -> Engine:
        return self.engine_for(request.role, request.engine)

    def _engine_name_of(self, request: Request) -> str:
        if request.engine is not None:
            return request.engine
        return request.role if request.role in self.engines else "policy"

    def _stop_at_deadline(self) -> None:
        self.stopped = "deadline"

    def _is_final(self, requests: Sequence[Request]) -> bool:
        """Whether what is drawn will be the answer even if it does not fit the client's format."""
        is_alone = [r.n for r in requests] == [1]
        return is_alone and not (self.candidates and constraints.has_format(requests[0].prompt))

    def _grant_all(self, requests: Sequence[Request]) -> tuple[list[Request], list[Request]]:
        """The parts of `requests` that the budget allows now, reserved; and those for which there may be room once the
        others have given back what they leave of their `max_tokens`.

        A draw is shortened only where it is the first. Raises `MissingEngineError` for an engine that is not there.
        """
        granted: list[Request] = []
        for place, request in enumerate(requests):
            self._engine_of(request)
            grant = self._ledger.grant(request, may_shorten=not granted)
            num_granted = 0
            if grant.request is not None:
                granted.append(grant.request)
                num_granted = grant.request.n
            if grant.stopped is None:
                continue
            if grant.is_cut_by_reservations:
                self._note_shorter(request, grant.request)
                rest = request.part(num_granted, request.n - num_granted)
                waiting = [rest] if rest.n else []
                return granted, [*waiting, *requests[place + 1 :]]
            self.stopped = grant.stopped
        return granted, []

    def _note_shorter(self, request: Request, granted: Request | None) -> None:
        if granted is not None and granted.params.max_tokens < request.params.max_tokens:
            self.stopped = "budget"
            self.note("the token budget had no room for a draw at its max_tokens: shorter ones were drawn")

    def _leave_out(self, requests: Sequence[Request]) -> None:
        """Records that the token budget has no room for `requests`."""
        self.stopped = "budget"
        self.note(f"the token budget had no room for {sum(r.n for r in requests)} more draws")


def _after(
    known: Sequence[Candidate], until: Callable[[Sequence[Candidate]], Awaitable[bool]]
) -> Callable[[Sequence[Candidate]], Awaitable[bool]]:
    """`until`, which sees `known` before what comes."""

    async def is_enough(new: Sequence[Candidate]) -> bool:
        return await until([*known, *new])

    return is_enough


def _candidate(
    id_: int, request: Request, i: int, drawn: Completion, engine: str, violation: str | None
) -> Candidate:
    """Draw i of a request as a candidate; one that breaks the client's constraints has an error."""
    return Candidate(
        id=id_,
        text=request.prefix + drawn.text,
        finish=drawn.finish,
        params=request.params_of(i),
        engine=drawn.engine or engine,
        usage=drawn.usage,
        logprobs=drawn.logprobs,
        parents=request.parents,
        language=request.language or request.prompt.language,
        error=drawn.error if violation is None else violation,
        stopped_by=drawn.stopped_by,
        tool_calls=drawn.tool_calls,
        reasoning=drawn.reasoning,
    )
