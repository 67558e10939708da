"""Whether answers come to the same result as a gold one, as a judge sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nbest.context import Context
from nbest.demand import Demand
from nbest.judging.judge_calls import ask
from nbest.judging.judge_questions import Read, Reply, demand_of_questions, question
from nbest.judging.templates import TemplateLanguage
from nbest.judging.verdict_forms import VerdictForm, numbers
from nbest.offload import spaced
from nbest.types import Prompt, SamplingParams

_FORM: Final[VerdictForm[int]] = numbers(1, least=0)
"""1: the same result as one of the accepted answers. 0: another, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldJudge:
    """How a judge is asked whether an answer is right: which one, and how its verdict is read."""

    engine: str | None = None
    """Name of the engine that judges; without one the engine called "judge", else the policy."""
    read: Read = "text"
    max_tokens: int = 1024
    template_language: TemplateLanguage = "en"
    templates: str | None = None

    def __post_init__(self) -> None:
        SamplingParams(max_tokens=self.max_tokens)

    def demand(self, n: int, steps: int) -> Demand:
        return demand_of_questions(n, self.max_tokens, self.read)

    async def verdicts(
        self, prompt: Prompt, texts: Sequence[str], accepted: Sequence[str], ctx: Context
    ) -> list[float | None]:
        """1 for each text that comes to the same result as one of the `accepted` answers, else 0; in order.

        One call for each distinct text, all at once, at temperature 0. None, with a note, where the judge
        failed or gave no verdict. Raises `MissingEngineError` where there is no engine to ask, and
        `InputError` for a template that cannot be used.
        """
        distinct = list(dict.fromkeys(texts))
        params = SamplingParams(temperature=0.0, max_tokens=self.max_tokens)
        questions = [
            question(
                "grade",
                prompt,
                {str(i): shown for i, shown in enumerate((text, *accepted), 1)},
                ctx,
                role="judge",
                engine=self.engine,
                params=params,
                template_language=self.template_language,
                templates=self.templates,
                form=_FORM,
            )
            async for text in spaced(distinct)
        ]
        replies = await ask(questions, ctx, read=self.read)
        _note_missing(replies, ctx)
        verdict_by_text = {text: reply.verdict for text, reply in zip(distinct, replies, strict=True)}
        return [_value(verdict_by_text[text]) for text in texts]


def _value(verdict: int | None) -> float | None:
    if verdict is None:
        return None
    return float(verdict)


def _note_missing(replies: Sequence[Reply[int]], ctx: Context) -> None:
    problems = [reply.problem for reply in replies if reply.verdict is None]
    if problems:
        ctx.note(
            f"grader=judge: {len(problems)} of {len(replies)} distinct answers have no verdict, and no score;"
            f" the first: {problems[0]}"
        )
