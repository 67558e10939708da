"""Search over the steps of an answer, against a verifier."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import count
from math import ceil
from typing import ClassVar

from nbest.constraints import constraint_violation
from nbest.context import Context
from nbest.errors import CapabilityError, EngineError
from nbest.protocols import Scorer, Search, Selector, logprobs_needed
from nbest.sampling.step_draws import Boundary, Steps
from nbest.scoring.aggregate import Reduce
from nbest.search.beam import Beam
from nbest.search.machine import Child, Expansion, State
from nbest.search.shares import dealt
from nbest.selection.pool import select
from nbest.selection.vote import Vote
from nbest.strategies.backup import StepValues
from nbest.types import Candidate, Prompt, Request, Score, Selection, replace

_LEAST_PART = 4
"""A round is not drawn for less than this part of a step's tokens, or its steps would say too little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Search over steps against a verifier (Snell et al. 2024, arXiv 2408.03314, §5).

    `search` says which steps to continue, `verifier` what they are worth; all steps of a round are drawn at
    once, the continuations of one step in one call. Then one of the finished answers is chosen, by
    default by best-of-N weighted: the verifier's values of answers that agree are summed. Draws are
    candidates, steps too (finish "step", `parents` the step before), and `details` holds their values.

    Budget: a round that cannot be drawn in full ends the search; tokens are short where they allow less than
    a quarter of `step_tokens` a draw. Until an answer is finished, one draw is held back from rounds and
    verifier, with its `max_tokens` or half of what is left. Where none is finished in the end, what is
    left goes into whole answers, up to n: of the best steps, each greedily once and then sampled; of an answer
    that was not begun, from its beginning. That comes early where another round, with as long to finish
    after it, would pass the deadline. Where none gets finished, the best unfinished one is chosen, with a note.
    """

    is_open_to_clients: ClassVar[bool] = True

    search: Search = field(default_factory=Beam)
    verifier: Scorer
    """Scores answers and steps, each text once. A step that it cannot score counts as the worst."""
    selector: Selector | None = None
    """Chooses from the finished answers; none: `vote` weighted by the values of the search."""
    aggregate: Reduce = "last"
    """An answer's value: the verifier's own (`last`), or the least, the product or the mean over its steps,
    which are the scorer's `Score.steps`, or else the values that the steps had when they were drawn."""
    boundary: Boundary = "newline"
    """Where steps end."""
    tags: tuple[str, ...] = ()
    """Further strings that end a step, such as a model's own `</step>`."""
    step_tokens: int = 256
    max_tokens: int = 2048
    """Of a whole answer."""
    temperature: float = 0.8
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        self.steps(None)

    def steps(self, logprobs: int | None) -> Steps:
        """How steps are drawn. Raises `ValueError` for parameters that nobody can draw with."""
        return Steps(
            boundary=self.boundary,
            tags=self.tags,
            step_tokens=self.step_tokens,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            min_p=self.min_p,
            logprobs=logprobs,
        )

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        climb = _Climb(self, prompt, ctx)
        await climb.search()
        return await climb.selection()


class _Climb:
    """One prompt's search under way."""

    def __init__(self, tree: Tree, prompt: Prompt, ctx: Context) -> None:
        self._tree, self._prompt, self._ctx = tree, prompt, ctx
        self._steps = tree.steps(logprobs_needed(tree))
        if by_client := prompt.overrides:
            self._steps = dataclasses.replace(
                self._steps, max_tokens=by_client.max_tokens or tree.max_tokens, ends=by_client.stop
            )
        self._rng = ctx.random("sample")
        self._seed = self._rng.getrandbits(30)
        self._step_by_text: dict[str, Candidate] = {}
        self._num_spent: dict[int, int] = {}
        """Drawn tokens of a candidate and the steps before it."""
        self._worth = StepValues(tree.verifier, tree.aggregate, prompt, ctx)
        self._frontier: list[Candidate] = []
        """Steps of the last round that drew any, each text once."""
        self._drawn: list[Candidate] = []
        self._names_stop = True

    async def search(self) -> None:
        """Draws until the search is done or nothing more may be spent."""
        search, ctx = self._tree.search, self._ctx
        self._names_stop = await self._can_name_stop()
        state = search.start(self._rng.getrandbits(62))
        took_s = 0.0
        while wishes := search.ask(state):
            if self._is_late(took_s):
                ctx.stopped = "deadline"
                break
            began, num_known = time.monotonic(), len(state.nodes)
            together = _by_text(wishes, state)
            requests = self._affordable([self._wanted(same, state) for same in together])
            if not requests:
                ctx.stopped = "budget"
                break
            for child in await self._children(together, requests):
                state = search.tell(state, child)
            self._worth.backup(wishes, state.nodes[num_known:], state.nodes)
            if ctx.stopped != "done":
                break
            took_s = time.monotonic() - began
        for note in state.notes:
            ctx.note(note)
        self._worth.propagate(state.nodes, self._drawn)
        if not self._finished():
            await self._finish()

    async def selection(self) -> Selection:
        """One of the finished answers. Raises `SelectionError` where nothing was drawn."""
        pool = self._finished()
        partial = [c for c in self._drawn if c.is_usable and constraint_violation(self._prompt, c) is None]
        if not pool and partial:
            self._ctx.note("tree: no answer was finished; the best unfinished one was chosen")
            pool = [min(partial, key=self._rank)]
        failed = [c for c in self._drawn if not c.is_usable]
        selector = self._tree.selector or Vote(weight=_Known(values=self._worth.by_id))
        selection = await select(selector, self._prompt, pool or failed, self._ctx)
        values = {str(i): value for i, value in sorted(self._worth.by_id.items())}
        return replace(selection, details={**selection.details, "values": values})

    def _finished(self) -> list[Candidate]:
        return [c for c in self._drawn if c.is_usable and c.finish == "stop"]

    def _rank(self, candidate: Candidate) -> tuple[bool, float, int, int]:
        """Sorts the best first; of equals the one that has come farthest, then the older."""
        value, spent = self._worth.by_id.get(candidate.id), self._num_spent.get(candidate.id, 0)
        return value is None, -(value or 0.0), -spent, candidate.id

    def _is_late(self, took_s: float) -> bool:
        """Whether the time is up, or too short for a round like the last, which took `took_s`, and to finish."""
        left = self._ctx.seconds_left
        return left is not None and left <= (0 if self._finished() else 2 * took_s)

    def _held_back(self) -> AbstractContextManager[None]:
        """Keeps what finishes one answer, until one is finished."""
        if self._finished():
            return nullcontext()
        tokens = self._steps.max_tokens
        if (left := self._ctx.tokens_left) is not None:
            tokens = min(tokens, left // 2)
        return self._ctx.held_back(1, tokens)

    def _affordable(self, requests: Sequence[Request]) -> Sequence[Request]:
        """All of `requests`, of shorter steps where the tokens demand it; none where there is no room."""
        ctx = self._ctx
        with self._held_back():
            if ctx.can_grant(requests):
                return requests
            room = (ctx.tokens_left or 0) // sum(r.n for r in requests)
            shorter = [_within(r, room) for r in requests]
            wanted = max(r.params.max_tokens for r in requests)
            if room < max(1, wanted // _LEAST_PART) or not ctx.can_grant(shorter):
                return []
        return shorter

    def _wanted(self, same: Sequence[Expansion], state: State) -> Request:
        """All that is wished for of one text, in one request, so that it is read once."""
        parent = self._step_by_text.get(state.nodes[same[0].node].text)
        n = sum(w.n for w in same)
        return self._steps.next(
            self._prompt,
            parent,
            n,
            seed=self._next_seed(n),
            spent=self._spent(parent),
            is_greedy=same[0].is_greedy,
            names_stop=self._names_stop,
        )

    def _next_seed(self, n: int) -> int:
        """Seeds are never used twice in one search."""
        seed, self._seed = self._seed, self._seed + n
        return seed

    def _spent(self, candidate: Candidate | None) -> int:
        return self._num_spent[candidate.id] if candidate else 0

    def _room(self, parent: Candidate | None) -> int:
        """Tokens of the next step."""
        return min(self._steps.step_tokens, self._steps.max_tokens - self._spent(parent))

    async def _children(
        self, together: Sequence[Sequence[Expansion]], requests: Sequence[Request]
    ) -> list[Child]:
        """One for each draw that was wished for, those that the deadline kept back included."""
        by_seed = {_seed(c): c for c in await self._sample(requests, are_steps=True)}
        slots = [
            (wish, i, request, by_seed.get(seed))
            for same, request in zip(together, requests, strict=True)
            for (wish, i), seed in zip(_draws(same), count(request.params.seed or 0), strict=False)
        ]
        slots.sort(key=lambda slot: (slot[0].id, slot[1]))  # as `Child.likeness` has them
        with self._held_back():
            await self._worth.ask([c for w, _, _, c in slots if c and (w.is_scored or c.finish != "step")])
            likeness = await self._likeness([c.text[len(r.prefix) :] if c else "" for _, _, r, c in slots])
        return [self._child(w, i, c, row) for (w, i, _, c), row in zip(slots, likeness, strict=True)]

    def _child(self, wish: Expansion, draw: int, c: Candidate | None, likeness: tuple[float, ...]) -> Child:
        if c is None or not c.is_usable or c.finish == "length":
            return Child(expansion=wish.id, draw=draw, fate="dead", likeness=likeness)
        return Child(
            expansion=wish.id,
            draw=draw,
            text=c.text,
            value=self._worth.by_id.get(c.id),
            fate="open" if c.finish == "step" else "finished",
            likeness=likeness,
        )

    async def _finish(self) -> None:
        """Spends what is left on whole answers, as long as they get finished."""
        steps = sorted(self._frontier, key=self._rank) or [None]
        if steps == [None] and (self._drawn or self._ctx.stopped != "budget"):
            return  # nothing can be gone on from, nothing was ever asked for, or the time was up
        untried, drawn = steps, list[Candidate]()
        n, room = self._num_more()
        while n > 0:
            greedy, untried = untried[:n], untried[n:]
            sampled = zip(steps, dealt(n - len(greedy), [1.0] * len(steps)), strict=True)
            requests = [self._rest(step, 1, is_greedy=True) for step in greedy]
            requests += [self._rest(step, part) for step, part in sampled if part]
            read = await self._sample([_within(r, room) for r in requests])
            drawn += read
            if not any(c.is_usable and c.finish == "stop" for c in read):
                break
            n, room = self._num_more()
        await self._worth.ask(drawn)

    def _num_more(self) -> tuple[int, int]:
        """How many whole answers to draw at once now, and the most tokens of each.

        Short tokens are dealt out by the longest answer so far, twice over; before there is one, in full.
        """
        ctx, most = self._ctx, self._steps.max_tokens
        is_limited = ctx.samples_left is not None or ctx.tokens_left is not None
        done = [self._spent(c) for c in self._finished()]
        n = (self._tree.search.n if is_limited else 1) - len(done)
        if ctx.samples_left is not None:
            n = min(n, ctx.samples_left)
        if (left := ctx.tokens_left) is None or n < 1:
            return n, most
        if left < 1:
            return 0, 0
        longest = max(1, *done) if done else min(most, left)
        n = min(n, max(left // min(most, 2 * longest), int(left >= longest)))
        return n, left // max(1, n)

    def _rest(self, parent: Candidate | None, n: int, *, is_greedy: bool = False) -> Request:
        return self._steps.rest(
            self._prompt,
            parent,
            n,
            seed=self._next_seed(n),
            spent=self._spent(parent),
            is_greedy=is_greedy,
        )

    async def _sample(self, requests: Sequence[Request], *, are_steps: bool = False) -> list[Candidate]:
        """Draws, read as steps or answers, with their places in the trace amended."""
        read = [self._read(c, are_steps=are_steps) for c in await self._ctx.sample(requests)]
        self._ctx.amend(read)
        self._drawn += read
        steps = [c for c in read if c.finish == "step"]
        if steps:
            self._frontier = list({c.text: c for c in reversed(steps)}.values())
        for c in steps:
            self._step_by_text.setdefault(c.text, c)
        return read

    def _read(self, drawn: Candidate, *, are_steps: bool) -> Candidate:
        parent = self._ctx.candidates[drawn.parents[0]] if drawn.parents else None
        step = self._steps.cut(drawn, parent) if are_steps and not self._names_stop else drawn
        read = self._steps.read(step, parent)
        if (
            are_steps
            and step.finish == "length"
            and step.params
            and step.params.max_tokens < self._room(parent)
        ):
            self._ctx.note("tree: steps were cut before step_tokens, for the token budget")
        num_before = len(parent.text) if parent else 0
        kept = min(1.0, max(0, len(read.text) - num_before) / max(1, len(drawn.text) - num_before))
        spent = self._spent(parent) + ceil(drawn.usage.completion * kept)
        self._num_spent[drawn.id] = spent
        if read.finish == "step" and spent >= self._steps.max_tokens:
            return replace(read, finish="length")
        if read.finish == "stop" and read.is_usable:
            return replace(read, error=constraint_violation(self._prompt, read))
        return read

    async def _can_name_stop(self) -> bool:
        """Raises `EngineError` where nobody answers, `CapabilityError` where no prefix is continued."""
        engine = self._ctx.engine_for("policy")
        try:
            async with asyncio.timeout(self._ctx.seconds_left):
                can = await engine.capabilities()
        except TimeoutError:
            return True  # nothing will be drawn
        if not can.prefix:
            raise CapabilityError(f"{engine.name} does not continue a text, which search over steps needs")
        if not can.names_stop and self._steps.stop:
            self._ctx.note(
                f"tree: {engine.name} does not say what ended a text: steps are drawn beyond their ends and cut"
            )
        return can.names_stop

    async def _likeness(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """Rows for the search, where it has a use for them."""
        similarity = self._tree.search.similarity
        if similarity is None:
            return [()] * len(texts)
        try:
            matrix = await similarity(texts, texts, self._ctx)
        except EngineError as e:
            if not e.is_transient:
                raise
            self._ctx.note(f"tree: steps of a round could not be compared, and count as unlike: {e}")
            return [()] * len(texts)
        return [tuple(map(float, row)) for row in matrix]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the search found out already."""

    values: Mapping[int, float]

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        return [Score(value=self.values.get(c.id)) for c in candidates]


def _by_text(wishes: Sequence[Expansion], state: State) -> list[list[Expansion]]:
    """Wishes for the same continuations: of nodes that are told apart by where they stand, or of one node."""
    together: dict[tuple[str, bool], list[Expansion]] = {}
    for wish in wishes:
        together.setdefault((state.nodes[wish.node].text, wish.is_greedy), []).append(wish)
    return list(together.values())


def _draws(same: Sequence[Expansion]) -> Iterator[tuple[Expansion, int]]:
    return ((wish, i) for wish in same for i in range(wish.n))


def _within(request: Request, room: int) -> Request:
    """With no more than `room` tokens a draw."""
    params = request.params
    return replace(request, params=replace(params, max_tokens=max(1, min(params.max_tokens, room))))


def _seed(candidate: Candidate) -> int | None:
    return candidate.params.seed if candidate.params else None
