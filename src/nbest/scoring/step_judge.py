"""A language model that looks for the first wrong step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import ClassVar

from nbest.context import Context
from nbest.demand import Demand
from nbest.judging.judge_calls import ask
from nbest.judging.judge_questions import Question, Read, Reply, demand_of_questions, question
from nbest.judging.templates import TemplateLanguage
from nbest.judging.verdict_forms import numbers
from nbest.offload import spaced
from nbest.protocols import EngineName, ServerPath
from nbest.scoring.aggregate import Reduce, aggregate
from nbest.scoring.step_texts import Split, note_half_steps, steps_of
from nbest.types import Candidate, Prompt, SamplingParams, Score, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class StepJudge:
    """Generative verification: a model reads the steps, and names the first wrong one, or 0 for none.

    The task of ProcessBench (Zheng et al. 2024, arXiv 2412.06559), one call per distinct text and vote. A
    step is worth 1 before the first wrong one and 0 from it on, for what follows from an error is of no
    use; with `votes`, the share of the votes that say so (Zhang et al. 2024, arXiv 2408.15240). A beginning is
    judged by the steps that are there. The verdict is read strictly in any digit system, and asked for once
    more if unreadable; votes without one are left out, and noted. A candidate without any, or without a
    step, has no score.
    """

    is_open_to_clients: ClassVar[bool] = True

    engine: EngineName | None = None
    """Name of the engine that verifies; without one the engine called "verifier", else the policy."""
    votes: int = 1
    temperature: float = 0.7
    """Of the votes, where there are several; one alone is drawn at 0."""
    split: Split = "line"
    reduce: Reduce = "last"
    max_tokens: int = 2048
    """Of each reply."""
    read: Read = "text"
    """How the verdict is read: text, grammar (structured output) or logprobs (see `judging.judge_calls`).
    logprobs: a step is worth the probability that no step up to it is wrong."""
    template_language: TemplateLanguage = "en"
    templates: ServerPath | None = None
    """A template file, or a directory of them, instead of the ones that ship."""

    def __post_init__(self) -> None:
        if self.votes < 1:
            raise ValueError(f"votes must be at least 1, got {self.votes}")
        SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)

    def demand(self, n: int, steps: int) -> Demand:
        return demand_of_questions(n * self.votes, self.max_tokens, self.read)

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        note_half_steps("step_judge", candidates, self.split, ctx)
        steps_by_text = {c.text: steps_of(c.text, self.split) for c in candidates if c.is_usable}
        texts = [t for t, steps in steps_by_text.items() if steps]
        questions = [
            self._question(prompt, steps_by_text[t], vote, ctx)
            async for t in spaced(texts)
            for vote in range(self.votes)
        ]
        replies = await ask(questions, ctx, read=self.read)
        missing = [r.problem for r in replies if r.verdict is None]
        if missing:
            ctx.note(
                f"step_judge: {len(missing)} of {len(replies)} verdicts are missing; the first: {missing[0]}"
            )
        scores = {
            t: self._score(replies[i * self.votes : (i + 1) * self.votes], len(steps_by_text[t]))
            for i, t in enumerate(texts)
        }
        return [scores.get(c.text, Score(value=None)) for c in candidates]

    def _score(self, replies: Sequence[Reply[int]], num_steps: int) -> Score:
        shares = [_shares(r) for r in replies if r.verdict is not None]
        if not shares:
            return Score(value=None)

        steps = tuple(
            fsum(_is_right_up_to(step, of_vote) for of_vote in shares) / len(shares)
            for step in range(1, num_steps + 1)
        )
        return Score(value=aggregate(steps, self.reduce), steps=steps)

    def _question(self, prompt: Prompt, steps: Sequence[str], vote: int, ctx: Context) -> Question[int]:
        params = SamplingParams(temperature=0.0, max_tokens=self.max_tokens)
        if self.votes > 1:
            seed = ctx.random(f"step_judge/{vote}/{''.join(steps)}").getrandbits(31)
            params = replace(params, temperature=self.temperature, seed=seed)
        return question(
            "steps",
            prompt,
            {str(i): step.strip() for i, step in enumerate(steps, 1)},
            ctx,
            role="verifier",
            engine=self.engine,
            params=params,
            template_language=self.template_language,
            templates=self.templates,
            form=numbers(len(steps), least=0),
        )


def _shares(reply: Reply[int]) -> Mapping[int, float]:
    """The probability of each verdict: which step is the first wrong one, or 0 for none."""
    if reply.probabilities is not None:
        return reply.probabilities
    if reply.verdict is None:
        return {}
    return {reply.verdict: 1.0}


def _is_right_up_to(step: int, shares: Mapping[int, float]) -> float:
    """The probability that no step up to `step` is wrong."""
    return fsum(p for first, p in shares.items() if first == 0 or first > step)
