"""The draws of one tree: steps and whole answers, asked for, read and put into the trace."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import ceil

from nbest.constraints import constraint_violation
from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.sampling.step_draws import Steps
from nbest.types import Candidate, Prompt, Request, replace


class StepDrawing:
    """Draws steps of answers to one prompt, and keeps what is drawn.

    Seeds are given out in turn from `first_seed` on, none twice.
    """

    def __init__(self, steps: Steps, prompt: Prompt, ctx: Context, *, first_seed: int) -> None:
        self.steps = steps
        self._prompt, self._ctx = prompt, ctx
        self._next_seed = first_seed
        self._names_stop = True
        self.drawn: list[Candidate] = []
        """All steps and answers, as they were read."""
        self.frontier: list[Candidate] = []
        """The steps of the last round that drew any, each text once."""
        self._step_by_text: dict[str, Candidate] = {}
        self._num_tokens_by_id: dict[int, int] = {}

    async def check_engine(self) -> None:
        """Finds out how the engine ends steps. Raises `EngineError`, or `CapabilityError` if it continues no text."""
        engine = self._ctx.engine_for("policy")
        try:
            async with asyncio.timeout(self._ctx.seconds_left):
                can = await engine.capabilities()
        except TimeoutError:
            return  # nothing will be drawn

        if not can.prefix:
            raise CapabilityError(f"{engine.name} does not continue a text, which search over steps needs")
        self._names_stop = can.names_stop
        if not can.names_stop and self.steps.stop:
            self._ctx.note(
                f"tree: {engine.name} does not say what ended a text: steps are drawn beyond their ends and cut"
            )

    def finished(self) -> list[Candidate]:
        """The whole answers."""
        return [c for c in self.drawn if c.is_usable and c.finish == "stop"]

    def num_tokens(self, candidate: Candidate | None) -> int:
        """Drawn tokens of a candidate and the steps before it; 0 for the empty answer."""
        if candidate is None:
            return 0
        return self._num_tokens_by_id.get(candidate.id, 0)

    def next_request(self, text: str, n: int, *, is_greedy: bool) -> Request:
        """`n` next steps after the steps in `text`."""
        parent = self._step_by_text.get(text)
        return self.steps.next(
            self._prompt,
            parent,
            n,
            seed=self._take_seeds(n),
            spent=self.num_tokens(parent),
            is_greedy=is_greedy,
            names_stop=self._names_stop,
        )

    def rest_request(self, parent: Candidate | None, n: int, *, is_greedy: bool) -> Request:
        """`n` continuations of `parent` to the end of the answer."""
        return self.steps.rest(
            self._prompt,
            parent,
            n,
            seed=self._take_seeds(n),
            spent=self.num_tokens(parent),
            is_greedy=is_greedy,
        )

    async def draw_steps(self, requests: Sequence[Request]) -> list[Candidate]:
        """Draws requests for next steps. The trace holds them as steps, answers or failed draws."""
        return self._add([await self._read_step(c) for c in await self._ctx.sample(requests)])

    async def draw_rests(self, requests: Sequence[Request]) -> list[Candidate]:
        """Draws requests for the rest of answers, as `draw_steps` does."""
        return self._add([await self._read(c, c) for c in await self._ctx.sample(requests)])

    def _take_seeds(self, n: int) -> int:
        seed = self._next_seed
        self._next_seed += n
        return seed

    def _add(self, read: list[Candidate]) -> list[Candidate]:
        self._ctx.amend(read)
        self.drawn += read

        steps = [c for c in read if c.finish == "step"]
        if steps:
            # Of equal texts the first.
            self.frontier = list({c.text: c for c in reversed(steps)}.values())
        for step in steps:
            self._step_by_text.setdefault(step.text, step)
        return read

    def _parent(self, candidate: Candidate) -> Candidate | None:
        if not candidate.parents:
            return None
        return self._ctx.candidates[candidate.parents[0]]

    async def _read_step(self, drawn: Candidate) -> Candidate:
        parent = self._parent(drawn)
        step = drawn
        if not self._names_stop:
            step = self.steps.cut(drawn, parent)
        if step.finish == "length" and step.params:
            full = min(self.steps.step_tokens, self.steps.max_tokens - self.num_tokens(parent))
            if step.params.max_tokens < full:
                self._ctx.note("tree: steps were cut before step_tokens, for the token budget")
        return await self._read(drawn, step)

    async def _read(self, drawn: Candidate, cut: Candidate) -> Candidate:
        """`cut`, which is `drawn` or its first step, as a step, a whole answer or one that was cut off."""
        parent = self._parent(drawn)
        read = self.steps.read(cut, parent)

        # Tokens behind the cut are metered, but no part of the answer.
        num_before = 0
        if parent:
            num_before = len(parent.text)
        num_drawn = max(1, len(drawn.text) - num_before)
        share = min(1.0, max(0, len(read.text) - num_before) / num_drawn)
        num_tokens = self.num_tokens(parent) + ceil(drawn.usage.completion * share)
        self._num_tokens_by_id[drawn.id] = num_tokens

        if read.finish == "step" and num_tokens >= self.steps.max_tokens:
            return replace(read, finish="length")
        if read.finish == "stop" and read.is_usable:
            violation = await constraint_violation(self._prompt, read, seconds=self._ctx.seconds_left)
            return replace(read, error=violation)
        return read
