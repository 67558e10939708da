"""Search over the steps of an answer, against a verifier."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar

from nbest.context import Context
from nbest.demand import STEPS, Demand, answers, demand_of, others, total
from nbest.protocols import FreeText, Scorer, Search, Selector, logprobs_needed
from nbest.sampling.step_draws import Boundary, Steps
from nbest.scoring.aggregate import Reduce
from nbest.search.beam import Beam
from nbest.search.machine import Machine
from nbest.selection.pool import select
from nbest.selection.vote import Vote
from nbest.strategies.backup import StepValues
from nbest.strategies.known_scores import KnownScores
from nbest.strategies.step_drawing import StepDrawing
from nbest.strategies.tree_answers import TreeAnswers
from nbest.strategies.tree_rounds import TreeRounds
from nbest.types import Prompt, Selection, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Search over steps against a verifier (Snell et al. 2024, arXiv 2408.03314, §5).

    `search` says which steps to continue, `verifier` what they are worth; all steps of a round are drawn at
    once, the continuations of one step in one call. Then one of the finished answers is chosen, by
    default by best-of-N weighted: the verifier's values of answers that agree are summed. Draws are
    candidates, steps too (finish "step", `parents` the step before), and `details` holds their values.

    Budget: a round that cannot be drawn in full ends the search; so does a token budget that allows less than a
    quarter of `step_tokens` a draw. Until an answer is finished, one draw is held back from rounds and verifier,
    with `max_tokens` tokens or half of what is left. If the search ends without a finished answer, what is left
    goes into whole answers, up to the search's n: the steps of the last round are continued, each greedily once
    and then sampled. The search ends early where another round, and as long to finish an answer, would pass the
    deadline. Where no answer gets finished, the best unfinished one is chosen, with a note.

    A verifier that fails costs the values of its texts, with a note; one that never gives a value, or refuses
    whatever it is asked, ends the search, and the answer is chosen by the values there are.
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
    tags: tuple[FreeText, ...] = ()
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
        """How steps are drawn. Raises `ValueError` for parameters that no engine can draw with."""
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

    def demand(self, n: int, steps: int) -> Demand:
        num_steps = _num_draws(self.search)
        num_answers = self.search.n
        of_rounds = total(
            others(num_steps, self.step_tokens),
            demand_of(self.verifier, num_steps, 1),
            *[demand_of(self.search.similarity, num_answers)] * STEPS,
        )
        of_answers = total(
            answers(num_answers, self.max_tokens),
            demand_of(self.verifier, num_answers, 1),
            demand_of(self.selector, num_answers),
        )
        return total(of_rounds, of_answers)

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        rng = ctx.random("sample")
        drawing = StepDrawing(self._steps_of(prompt), prompt, ctx, first_seed=rng.getrandbits(30))
        values = StepValues(self.verifier, self.aggregate, prompt, ctx)
        answers = TreeAnswers(drawing, values, ctx, num_wanted=self.search.n)

        await drawing.check_engine()
        state = await TreeRounds(self.search, drawing, values, ctx).run(rng.getrandbits(62))
        for note in state.notes:
            ctx.note(note)
        if not drawing.finished():
            await answers.finish()
        await values.make_comparable()
        values.propagate(state.nodes, drawing.drawn)

        pool = await answers.pool(prompt)
        values.report_missing(pool)
        selector = self.selector or Vote(weight=KnownScores(by_id=values.scores()))
        selection = await select(selector, prompt, pool, ctx)
        shown = {str(id_): value for id_, value in sorted(values.by_id.items())}
        return replace(selection, details={**selection.details, "values": shown})

    def _steps_of(self, prompt: Prompt) -> Steps:
        """How steps are drawn, with what the client of the prompt demands."""
        steps = self.steps(logprobs_needed(self))
        if prompt.overrides is None:
            return steps
        max_tokens = prompt.overrides.max_tokens or self.max_tokens
        return dataclasses.replace(steps, max_tokens=max_tokens, ends=prompt.overrides.stop)


def _num_draws(search: Search) -> int:
    """Of steps; a search of the user's own says it, or draws n a round."""
    if isinstance(search, Machine):
        return search.num_draws(STEPS)
    return search.n * STEPS
