"""The rounds of a tree search: a batch of expansions is asked for, drawn, valued and told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from nbest.budget import STEPS
from nbest.context import Context
from nbest.errors import EngineError
from nbest.protocols import Search
from nbest.search.machine import Child, Expansion, State
from nbest.strategies.backup import StepValues
from nbest.strategies.step_drawing import StepDrawing
from nbest.types import Candidate, Request, replace

_LEAST_PART = 4
"""A round is not drawn for less than this part of a step's tokens, or its steps would say too little."""


class _Slot(NamedTuple):
    """One draw that the search asks for, and what came of it."""

    expansion: Expansion
    draw: int
    request: Request
    candidate: Candidate | None
    """None where the budget or the deadline left it out."""

    @property
    def new_text(self) -> str:
        """What the draw added to its prefix."""
        if self.candidate:
            return self.candidate.text[len(self.request.prefix) :]
        return ""


class TreeRounds:
    """Runs a search until it is done, or nothing more may be spent."""

    def __init__(self, search: Search, drawing: StepDrawing, values: StepValues, ctx: Context) -> None:
        self._search, self._drawing, self._values, self._ctx = search, drawing, values, ctx

    async def run(self, seed: int) -> State:
        """The state of the search in the end. `ctx.stopped` says why it ended early."""
        state = self._search.start(seed)
        last_round_s = 0.0
        while expansions := self._search.ask(state):
            if self._is_late(last_round_s):
                self._ctx.stopped = "deadline"
                break
            began, num_known = time.monotonic(), len(state.nodes)

            self._price_steps(expansions, state)
            batches = _by_text(expansions, state)
            requests = self._affordable([self._request(batch, state) for batch in batches])
            if not requests:
                self._ctx.stopped = "budget"
                break
            for child in await self._children(batches, requests, state):
                state = self._search.tell(state, child)
            self._values.backup(expansions, state.nodes[num_known:], state.nodes)

            if self._ctx.stopped != "done":
                break
            last_round_s = time.monotonic() - began
        self._price_steps((), state)
        return state

    def _price_steps(self, expansions: Sequence[Expansion], state: State) -> None:
        """Says what share of an answer a step is: its longest path, or twice that while none is finished.

        So a search for n answers, of any number of steps, costs at most n samples.
        """
        num_finished = len(self._drawing.finished())
        depth = max((state.nodes[e.node].depth + 1 for e in expansions), default=0)
        deepest = max(depth, *(node.depth for node in state.nodes))
        steps_per_answer = max(STEPS, 2 * deepest)
        if num_finished:
            steps_per_answer = deepest + 1
        self._ctx.price_steps(steps_per_answer, num_finished)

    def _is_late(self, last_round_s: float) -> bool:
        """Whether the time is up, or too short for a round like the last and as long to finish an answer."""
        seconds_left = self._ctx.seconds_left
        if seconds_left is None:
            return False
        needed_s = 0
        if not self._drawing.finished():
            needed_s = 2 * last_round_s
        return seconds_left <= needed_s

    def _hold_back_an_answer(self) -> AbstractContextManager[None]:
        """Until an answer is finished, keeps one draw of the budget for it, and its tokens."""
        if self._drawing.finished():
            return nullcontext()
        num_tokens = self._drawing.steps.max_tokens
        tokens_left = self._ctx.tokens_left
        if tokens_left is not None:
            num_tokens = min(num_tokens, tokens_left // 2)
        return self._ctx.held_back(1, num_tokens)

    def _request(self, batch: Sequence[Expansion], state: State) -> Request:
        """All continuations of one text in one request, so that the engine reads it once."""
        text = state.nodes[batch[0].node].text
        num_draws = sum(expansion.n for expansion in batch)
        return self._drawing.next_request(text, num_draws, is_greedy=batch[0].is_greedy)

    def _affordable(self, requests: Sequence[Request]) -> Sequence[Request]:
        """All of `requests`, of shorter steps where the tokens demand it; none where there is no room."""
        with self._hold_back_an_answer():
            if self._ctx.can_grant(requests):
                return requests

            num_tokens = (self._ctx.tokens_left or 0) // sum(r.n for r in requests)
            longest = max(r.params.max_tokens for r in requests)
            if num_tokens < max(1, longest // _LEAST_PART):
                return []
            shorter = [shortened_to(r, num_tokens) for r in requests]
            if self._ctx.can_grant(shorter):
                return shorter
            return []

    async def _children(
        self, batches: Sequence[Sequence[Expansion]], requests: Sequence[Request], state: State
    ) -> list[Child]:
        """One for each draw that the search asks for, those that were left out included."""
        drawn = await self._drawing.draw_steps(requests)
        self._price_steps((), state)
        slots = _slots(batches, requests, drawn)
        to_score = [s.candidate for s in slots if s.candidate and _needs_a_value(s.expansion, s.candidate)]
        with self._hold_back_an_answer():
            await self._values.ask(to_score)
            likeness = await self._likeness([slot.new_text for slot in slots])
        return [self._child(slot, row) for slot, row in zip(slots, likeness, strict=True)]

    def _child(self, slot: _Slot, likeness: tuple[float, ...]) -> Child:
        candidate = slot.candidate
        if candidate is None or not candidate.is_usable or candidate.finish == "length":
            return Child(expansion=slot.expansion.id, draw=slot.draw, fate="dead", likeness=likeness)
        return Child(
            expansion=slot.expansion.id,
            draw=slot.draw,
            text=candidate.text,
            value=self._values.by_id.get(candidate.id),
            fate="open" if candidate.finish == "step" else "finished",
            likeness=likeness,
        )

    async def _likeness(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """Each text's similarity to all, where the search uses it; empty rows otherwise."""
        similarity = self._search.similarity
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


def shortened_to(request: Request, num_tokens: int) -> Request:
    """`request` with at most `num_tokens` tokens a draw, and at least 1."""
    max_tokens = max(1, min(request.params.max_tokens, num_tokens))
    return replace(request, params=replace(request.params, max_tokens=max_tokens))


def _by_text(expansions: Sequence[Expansion], state: State) -> list[list[Expansion]]:
    """Expansions of equal texts together: a search may have several nodes of one text, or ask for one twice."""
    batches: dict[tuple[str, bool], list[Expansion]] = {}
    for expansion in expansions:
        text = state.nodes[expansion.node].text
        batches.setdefault((text, expansion.is_greedy), []).append(expansion)
    return list(batches.values())


def _slots(
    batches: Sequence[Sequence[Expansion]], requests: Sequence[Request], drawn: Sequence[Candidate]
) -> list[_Slot]:
    """In the order of expansions and draws, which is that of `Child.likeness`. Draws are told by their seeds."""
    by_seed = {c.params.seed: c for c in drawn if c.params}
    slots: list[_Slot] = []
    for batch, request in zip(batches, requests, strict=True):
        seed = request.params.seed or 0
        for expansion in batch:
            for draw in range(expansion.n):
                slots.append(_Slot(expansion, draw, request, by_seed.get(seed)))
                seed += 1
    return sorted(slots, key=lambda slot: (slot.expansion.id, slot.draw))


def _needs_a_value(expansion: Expansion, candidate: Candidate) -> bool:
    """Whole answers always do."""
    return expansion.is_scored or candidate.finish != "step"
