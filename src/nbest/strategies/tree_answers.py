"""How a tree search ends: whole answers drawn with what is left of the budget, and the candidates to choose from."""

from __future__ import annotations

from nbest.constraints import constraint_violations
from nbest.context import Context
from nbest.search.shares import dealt
from nbest.strategies.backup import StepValues
from nbest.strategies.step_drawing import StepDrawing
from nbest.strategies.tree_rounds import shortened_to
from nbest.types import Candidate, Prompt


class TreeAnswers:
    """Finishes answers after the last round, and says which candidates may win.

    `num_wanted` is how many whole answers are drawn at most, finished ones included.
    """

    def __init__(self, drawing: StepDrawing, values: StepValues, ctx: Context, *, num_wanted: int) -> None:
        self._drawing, self._values, self._ctx = drawing, values, ctx
        self._num_wanted = num_wanted

    async def finish(self) -> None:
        """Spends what is left on whole answers, as long as they get finished.

        Each step of the last round is continued greedily once, the best first, and then sampled.
        """
        steps: list[Candidate | None] = [*sorted(self._drawing.frontier, key=self._rank)]
        if not steps:
            if self._drawing.drawn or self._ctx.stopped != "budget":
                return  # no step can be continued, the search asked for none, or the time was up
            steps = [None]

        untried, drawn = steps, list[Candidate]()
        num_draws, max_tokens = self._num_more()
        while num_draws > 0:
            greedy, untried = untried[:num_draws], untried[num_draws:]
            parts = dealt(num_draws - len(greedy), [1.0] * len(steps))
            requests = [self._drawing.rest_request(step, 1, is_greedy=True) for step in greedy]
            for step, n in zip(steps, parts, strict=True):
                if n:
                    requests.append(self._drawing.rest_request(step, n, is_greedy=False))

            new = await self._drawing.draw_rests([shortened_to(r, max_tokens) for r in requests])
            drawn += new
            if not any(c.is_usable and c.finish == "stop" for c in new):
                break
            num_draws, max_tokens = self._num_more()
        await self._values.ask(drawn)

    async def pool(self, prompt: Prompt) -> list[Candidate]:
        """The finished answers; without any the best unfinished one; without that the failed draws."""
        finished = self._drawing.finished()
        if finished:
            return finished

        drawn = self._drawing.drawn
        usable = [c for c in drawn if c.is_usable]
        violations = await constraint_violations(prompt, usable, seconds=self._ctx.seconds_left)
        unfinished = [c for c, violation in zip(usable, violations, strict=True) if violation is None]
        if unfinished:
            self._ctx.note("tree: no answer was finished; the best unfinished one was chosen")
            return [min(unfinished, key=self._rank)]
        return [c for c in drawn if not c.is_usable]

    def _rank(self, candidate: Candidate) -> tuple[bool, float, int, int]:
        """Sorts the best first; of equals the one with more tokens, then the older."""
        value = self._values.by_id.get(candidate.id)
        num_tokens = self._drawing.num_tokens(candidate)
        return value is None, -(value or 0.0), -num_tokens, candidate.id

    def _num_more(self) -> tuple[int, int]:
        """How many whole answers to draw at once now, and the most tokens of each.

        Without a budget one is enough. Tokens that do not suffice for all at `max_tokens` are shared out by
        twice the longest answer so far; before there is one, by `max_tokens`.
        """
        samples_left, tokens_left = self._ctx.samples_left, self._ctx.tokens_left
        max_tokens = self._drawing.steps.max_tokens
        lengths = [self._drawing.num_tokens(c) for c in self._drawing.finished()]

        has_budget = samples_left is not None or tokens_left is not None
        num_wanted = 1
        if has_budget:
            num_wanted = self._num_wanted
        num_draws = num_wanted - len(lengths)
        if samples_left is not None:
            num_draws = min(num_draws, samples_left)
        if tokens_left is None or num_draws < 1:
            return num_draws, max_tokens
        if tokens_left < 1:
            return 0, 0

        longest = max(1, *lengths) if lengths else min(max_tokens, tokens_left)
        num_affordable = tokens_left // min(max_tokens, 2 * longest)
        if num_affordable == 0 and tokens_left >= longest:
            num_affordable = 1
        num_draws = min(num_draws, num_affordable)
        return num_draws, tokens_left // max(1, num_draws)
