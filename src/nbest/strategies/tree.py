"""Search over the steps of an answer, against a verifier."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import ceil

from nbest.answers.calls import said
from nbest.context import Context
from nbest.errors import CapabilityError, EngineError
from nbest.overrides import misfit
from nbest.protocols import Scorer, Search, Selector, Utility, logprobs_needed
from nbest.sampling.steps import Boundary, Steps
from nbest.scoring.aggregate import Reduce, aggregate
from nbest.search.beam import Beam
from nbest.search.machine import Child, Expansion, State
from nbest.selection.pool import select
from nbest.selection.vote import Vote
from nbest.types import Candidate, Prompt, Request, Score, Selection, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Search over steps against a verifier (Snell et al. 2024, arXiv 2408.03314, §5).

    `search` says which steps to continue, `verifier` what they are worth; all steps of a round are drawn at
    once, the continuations of one step in one call. Then one of the finished answers is chosen, by
    default by best-of-N weighted: the verifier's values of answers that agree are summed. Draws are
    candidates, steps too (finish "step", `parents` the step before), and `details` holds their values.

    Budget: a round that cannot be drawn in full ends the search. Where no answer is finished then, what is
    left goes into finishing the best steps, greedily, best first; of an answer that was not begun, into
    whole answers. Where none gets finished, the best unfinished one is chosen, with a note.
    """

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
        self._scores: dict[tuple[str, bool], Score] = {}
        self._values: dict[int, float] = {}
        """By candidate, where the verifier could say."""
        self._frontier: list[Candidate] = []
        """Steps of the last round that drew any, each text once."""
        self._drawn: list[Candidate] = []
        self._names_stop = True

    async def search(self) -> None:
        """Draws until the search is done or nothing more may be spent."""
        search, ctx = self._tree.search, self._ctx
        self._names_stop = await self._can_name_stop()
        state = search.start(self._rng.getrandbits(62))
        while wishes := search.ask(state):
            together = _by_text(wishes, state)
            requests = [self._wanted(same, state) for same in together]
            if not ctx.can_grant(requests):
                ctx.stopped = "deadline" if ctx.seconds_left == 0 else "budget"
                break
            for child in await self._children(together, requests):
                state = search.tell(state, child)
            if ctx.stopped != "done":
                break
        for node in state.nodes:  # lookahead values steps that the verifier was not shown
            step = self._step_by_text.get(node.text)
            if step and node.value is not None and node.fate == "open":
                self._values.setdefault(step.id, node.value)
        if not self._finished():
            await self._finish()

    async def selection(self) -> Selection:
        """One of the finished answers. Raises `SelectionError` where nothing was drawn."""
        pool = self._finished()
        partial = [c for c in self._drawn if c.is_usable and misfit(self._prompt, c) is None]
        if not pool and partial:
            self._ctx.note("tree: no answer was finished; the best unfinished one was chosen")
            pool = [min(partial, key=self._rank)]
        failed = [c for c in self._drawn if not c.is_usable]
        selector = self._tree.selector or Vote(weight=_Known(values=self._values))
        selection = await select(selector, self._prompt, pool or failed, self._ctx)
        values = {str(i): value for i, value in sorted(self._values.items())}
        return replace(selection, details={**selection.details, "values": values})

    def _finished(self) -> list[Candidate]:
        return [c for c in self._drawn if c.is_usable and c.finish == "stop"]

    def _rank(self, candidate: Candidate) -> tuple[bool, float, int, int]:
        """Sorts the best first; of equals the one that has come farthest, then the older."""
        value, spent = self._values.get(candidate.id), self._num_spent.get(candidate.id, 0)
        return value is None, -(value or 0.0), -spent, candidate.id

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
        await self._score([c for w, _, _, c in slots if c and (w.is_scored or c.finish != "step")])
        likeness = await self._likeness([c.text[len(r.prefix) :] if c else "" for _, _, r, c in slots])
        return [self._child(w, i, c, row) for (w, i, _, c), row in zip(slots, likeness, strict=True)]

    def _child(self, wish: Expansion, draw: int, c: Candidate | None, likeness: tuple[float, ...]) -> Child:
        if c is None or not c.is_usable or c.finish == "length":
            return Child(expansion=wish.id, draw=draw, fate="dead", likeness=likeness)
        return Child(
            expansion=wish.id,
            draw=draw,
            text=c.text,
            value=self._values.get(c.id),
            fate="open" if c.finish == "step" else "finished",
            likeness=likeness,
        )

    async def _finish(self) -> None:
        """Spends what is left on whole answers: of the best steps greedily, or from the beginning."""
        if not self._drawn and self._ctx.stopped != "budget":
            return  # nothing was ever asked for, or the time was up
        left = 1 if self._ctx.samples_left is None else self._ctx.samples_left
        best = sorted(self._frontier, key=self._rank)[: max(0, left)]
        if not best and not self._drawn and left > 0:
            requests = [self._rest(None, left)]
        else:
            requests = [self._rest(step, 1) for step in best]
        await self._score(await self._sample(requests))

    def _rest(self, parent: Candidate | None, n: int) -> Request:
        return self._steps.rest(
            self._prompt,
            parent,
            n,
            seed=self._next_seed(n),
            spent=self._spent(parent),
            is_greedy=n == 1,
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
        num_before = len(parent.text) if parent else 0
        kept = min(1.0, max(0, len(read.text) - num_before) / max(1, len(drawn.text) - num_before))
        spent = self._spent(parent) + ceil(drawn.usage.completion * kept)
        self._num_spent[drawn.id] = spent
        if read.finish == "step" and spent >= self._steps.max_tokens:
            return replace(read, finish="length")
        if read.finish == "stop" and read.is_usable:
            return replace(read, error=misfit(self._prompt, read))
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

    async def _score(self, candidates: Sequence[Candidate]) -> None:
        """Asks for each distinct text once in this search, all new ones in one batch; tool calls are text here."""
        candidates = [replace(c, text=said(c)) for c in candidates if c.is_usable]
        new = {_text(c): c for c in candidates if _text(c) not in self._scores}
        if new:
            scores = await self._tree.verifier(self._prompt, list(new.values()), self._ctx)
            self._scores |= dict(zip(new, scores, strict=True))
        for c in candidates:
            if (value := self._value(c)) is not None:
                self._values[c.id] = value

    def _value(self, candidate: Candidate) -> float | None:
        score = self._scores[_text(candidate)]
        if self._tree.aggregate == "last" or score.value is None:
            return score.value
        steps = list(score.steps)
        at: Candidate | None = candidate
        while at and not score.steps:
            own = self._scores.get(_text(at))
            if own and own.value is not None:
                steps.append(own.value)
            at = self._ctx.candidates[at.parents[0]] if at.parents else None
        return aggregate(steps, self._tree.aggregate)

    async def _likeness(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """Rows for the search, where it has a use for them."""
        similarity: Utility | None = getattr(self._tree.search, "similarity", None)
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


def _text(candidate: Candidate) -> tuple[str, bool]:
    """What a score is of: the same words may be a step and, elsewhere, an answer."""
    return candidate.text, candidate.finish == "step"


def _seed(candidate: Candidate) -> int | None:
    return candidate.params.seed if candidate.params else None
