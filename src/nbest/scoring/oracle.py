"""Ground truth as a verifier: what a perfect selector would reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbest.context import Context
from nbest.demand import Demand
from nbest.judging.gold_judge import GoldJudge
from nbest.judging.judge_questions import Read
from nbest.judging.templates import TemplateLanguage
from nbest.protocols import EngineName, PluginSpec, ServerPath
from nbest.scoring.gold_answer import grader_of, truths
from nbest.scoring.rollouts import is_partial
from nbest.text.grading import JUDGE
from nbest.types import Candidate, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """1 for a right final answer, else 0: an upper bound, never a method.

    An unfinished candidate of a search is read as if it were an answer, with a note. With grader=judge a model
    compares each distinct answer with the gold ones, metered as the judge's; an answer without a verdict has no
    score. The prompt's row must have an `answer`; raises `CapabilityError` where it has none, and
    `MissingEngineError` where a judge is needed and there is no engine.
    """

    is_open_to_clients: ClassVar[bool] = False

    grader: PluginSpec | None = None
    """How answers are compared with gold, instead of the row's `grader`: answer (equivalence of final answers,
    the default), exact, contains, regex, judge (a model compares), or a function of your own as
    `module:function` or `file.py:function`."""
    engine: EngineName | None = None
    """grader=judge: name of the engine that judges; without one the engine called "judge", else the policy."""
    read: Read = "text"
    """grader=judge: how the verdict is read: text, grammar or logprobs (see `judging.judge_calls`)."""
    max_tokens: int = 1024
    """grader=judge: of each of the judge's replies."""
    template_language: TemplateLanguage = "en"
    templates: ServerPath | None = None
    """A template file (grade.txt), or a directory of them, instead of the ones that ship."""

    def __post_init__(self) -> None:
        grader_of(self.grader)
        self._judge()

    def demand(self, n: int, steps: int) -> Demand:
        if self.grader != JUDGE:
            return Demand()
        return self._judge().demand(n, steps)

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        if any(map(is_partial, candidates)):
            ctx.note(
                "oracle: steps of a search are read as final answers, and are mostly 0: search with"
                "  oracle_rollouts  or  noisy_oracle(auc=1.0)"
            )
        grader = grader_of(self.grader)
        values = await truths(prompt, candidates, ctx, grader=grader, judge=self._judge())
        return [Score(value=value) for value in values]

    def _judge(self) -> GoldJudge:
        return GoldJudge(
            engine=self.engine,
            read=self.read,
            max_tokens=self.max_tokens,
            template_language=self.template_language,
            templates=self.templates,
        )
