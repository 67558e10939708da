"""A language model as utility: how good would one answer be if another were right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import fsum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nbest.context import Context
from nbest.judging.judge_calls import ask, question
from nbest.judging.templates import TemplateLanguage
from nbest.judging.verdicts import choice
from nbest.protocols import ServerPath
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

    engine: str | None = None
    """Name of the engine that judges; without one the engine called "judge", else the policy itself."""
    max_tokens: int = 1024
    template_language: TemplateLanguage = "en"
    templates: ServerPath | None = None
    """A template file (agree.txt), or a directory of them, instead of the one that ships."""
    prompt: Prompt | None = field(default=None, init=False, repr=False)

    is_multilingual: ClassVar[bool] = True

    def for_prompt(self, prompt: Prompt) -> Judged:
        told = replace(self)
        object.__setattr__(told, "prompt", prompt)
        return told

    async def __call__(
        self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
    ) -> NDArray[np.float64]:
        pairs = sorted({(h, r) for h in hypotheses for r in references if h != r})
        replies = await ask([self._question(h, r, ctx) for h, r in pairs], ctx)
        grades = {p: float(r.verdict) for p, r in zip(pairs, replies, strict=True) if r.verdict is not None}
        if missing := [r.problem for r in replies if r.verdict is None]:
            ctx.note(f"judged: {len(missing)} of {len(pairs)} pairs have no grade; the first: {missing[0]}")
        mean = fsum(grades.values()) / len(grades) if grades else float(_BEST)
        return np.array(
            [[float(_BEST) if h == r else grades.get((h, r), mean) for r in references] for h in hypotheses],
            np.float64,
        ).reshape(len(hypotheses), len(references))

    def _question(self, hypothesis: str, reference: str, ctx: Context):  # noqa: ANN202
        return question(
            "agree",
            self.prompt or Prompt(id="", messages=()),
            {"1": hypothesis, "2": reference},
            ctx,
            role="judge",
            engine=self.engine,
            params=SamplingParams(temperature=0.0, max_tokens=self.max_tokens),
            template_language=self.template_language,
            templates=self.templates,
            read=partial(choice, count=_BEST),
        )
