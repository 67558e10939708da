"""A language model as utility: how good would one answer be if another were right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nbest.context import Context
from nbest.demand import Demand
from nbest.judging.judge_calls import ask
from nbest.judging.judge_questions import Question, Read, Reply, demand_of_questions, question
from nbest.judging.templates import TemplateLanguage
from nbest.judging.verdict_forms import numbers
from nbest.protocols import EngineName, ServerPath
from nbest.types import Prompt, SamplingParams

_BEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A judge's grade of each pair, 1 to 10 (LLM-judge utility, as GEMBA-MBR: Kocmi et al. 2024).

    One call per ordered pair of different texts, all at once; equal texts are worth 10 unasked. N·(N−1)
    calls, so `mbr(mode=pruned)` for larger pools. A pair without a readable grade (asked for once more) is
    worth the mean of the others, with a note; where no pair has one, all are worth the same. Raises
    `InputError` for a template that cannot be used.
    """

    is_open_to_clients: ClassVar[bool] = True

    engine: EngineName | None = None
    """Name of the engine that judges; without one the engine called "judge", else the policy itself."""
    temperature: float = 0.0
    """Of the judge's replies."""
    max_tokens: int = 1024
    read: Read = "text"
    """How the verdict is read: text, grammar (structured output) or logprobs (see `judging.judge_calls`)."""
    template_language: TemplateLanguage = "en"
    templates: ServerPath | None = None
    """A template file (agree.txt), or a directory of them, instead of the one that ships."""
    prompt: Prompt | None = field(default=None, init=False, repr=False)

    is_multilingual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)

    def demand(self, n: int, steps: int) -> Demand:
        return demand_of_questions(n * (n - 1), self.max_tokens, self.read)

    def for_prompt(self, prompt: Prompt) -> Judged:
        """This utility, with the task that the answers are for."""
        informed = replace(self)
        object.__setattr__(informed, "prompt", prompt)
        return informed

    async def __call__(
        self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
    ) -> NDArray[np.float64]:
        pairs = sorted({(h, r) for h in hypotheses for r in references if h != r})
        replies = await ask([self._question(h, r, ctx) for h, r in pairs], ctx, read=self.read)
        graded = {pair: _grade(reply) for pair, reply in zip(pairs, replies, strict=True)}
        grades = {pair: grade for pair, grade in graded.items() if grade is not None}
        missing = [r.problem for r in replies if r.verdict is None]
        if missing:
            ctx.note(f"judged: {len(missing)} of {len(pairs)} pairs have no grade; the first: {missing[0]}")
        mean = float(_BEST)
        if grades:
            mean = fsum(grades.values()) / len(grades)
        grades |= {(text, text): float(_BEST) for text in hypotheses}
        rows = [[grades.get((h, r), mean) for r in references] for h in hypotheses]
        return np.array(rows, np.float64).reshape(len(hypotheses), len(references))

    def _question(self, hypothesis: str, reference: str, ctx: Context) -> Question[int]:
        return question(
            "agree",
            self.prompt or Prompt(id="", messages=()),
            {"1": hypothesis, "2": reference},
            ctx,
            role="judge",
            engine=self.engine,
            params=SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens),
            template_language=self.template_language,
            templates=self.templates,
            form=numbers(_BEST),
        )


def _grade(reply: Reply[int]) -> float | None:
    """The judge's grade; the expected one where its probabilities are known."""
    if reply.probabilities is not None:
        return fsum(p * grade for grade, p in reply.probabilities.items())
    if reply.verdict is None:
        return None
    return float(reply.verdict)
