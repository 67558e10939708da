"""A model that grades one candidate at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.demand import Demand, others
from nbest.errors import CapabilityError
from nbest.judging.judge_calls import ask
from nbest.judging.judge_questions import Question, Read, Reply, demand_of_questions, question
from nbest.judging.templates import (
    LanguageWords,
    TemplateLanguage,
    language_words,
    template_for,
)
from nbest.judging.verdict_forms import numbers
from nbest.offload import spaced
from nbest.protocols import EngineName, ServerPath
from nbest.scoring.next_token import has_alternatives, num_logprobs, share
from nbest.text.reasoning import answer_text
from nbest.types import Candidate, Completion, Prompt, SamplingParams, Score

_BEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Pointwise judging: one call per distinct candidate, all at once.

    mode="score": the judge explains itself and gives 1 to 10 (Zheng et al. 2023, arXiv 2306.05685),
    read strictly in any digit system, asked for once more if unreadable. mode="yes_no": the
    probability of "yes" against "no" as the next token, in the words of the template's language (as in
    generative verifiers, Zhang et al. 2024, arXiv 2408.15240); one token per candidate.

    A failed or unreadable verdict is a `Score` without a value, and noted. Raises `CapabilityError` where
    yes_no meets a judge without log-probabilities, `InputError` for a template that cannot be used.
    """

    is_open_to_clients: ClassVar[bool] = True

    engine: EngineName | None = None
    """Name of the engine that judges; without one the engine called "judge", else the policy itself."""
    mode: Literal["score", "yes_no"] = "score"
    temperature: float = 0.0
    """mode=score: of the judge's replies."""
    max_tokens: int = 2048
    """Of each of the judge's replies, where it explains itself."""
    top_logprobs: int = 20
    """How many next tokens are looked at for yes and no, or as many as the engine gives."""
    read: Read = "text"
    """mode=score: how the verdict is read: text, grammar (structured output) or logprobs (see
    `judging.judge_calls`). logprobs: the expected score, Σ p(i)·i, as in G-Eval (Liu et al. 2023, arXiv 2303.16634)."""
    template_language: TemplateLanguage = "en"
    templates: ServerPath | None = None
    """A template file, or a directory of them, instead of the ones that ship."""

    def __post_init__(self) -> None:
        SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)
        if self.mode == "yes_no" and self.read != "text":
            raise ValueError("mode=yes_no always reads log-probabilities: read goes with mode=score")

    def demand(self, n: int, steps: int) -> Demand:
        if self.mode == "yes_no":
            return others(n, 1)
        return demand_of_questions(n, self.max_tokens, self.read)

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        texts = list(dict.fromkeys(c.text for c in candidates if c.is_usable))
        judge = self._by_logprobs if self.mode == "yes_no" else self._by_number
        judged = await judge(prompt, texts, ctx)
        values = dict(zip(texts, judged, strict=True))
        return [Score(value=values[c.text] if c.is_usable else None) for c in candidates]

    async def _by_number(self, prompt: Prompt, texts: Sequence[str], ctx: Context) -> list[float | None]:
        params = SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)
        questions = [self._question("score", prompt, t, params, ctx) async for t in spaced(texts)]
        replies = await ask(questions, ctx, read=self.read)
        _note_missing([r.problem for r in replies], ctx)
        return [_value(r) for r in replies]

    async def _by_logprobs(self, prompt: Prompt, texts: Sequence[str], ctx: Context) -> list[float | None]:
        k = await num_logprobs(ctx, "judge", self.engine, wanted=self.top_logprobs, lacking=_lacks_logprobs())
        params = SamplingParams(temperature=0.0, max_tokens=1, logprobs=k)
        questions = [self._question("yes_no", prompt, t, params, ctx) async for t in spaced(texts)]
        drawn = await ctx.complete([q.request for q in questions])
        answered = [c[0] for c in drawn if c and c[0].error is None]
        if answered and not any(map(has_alternatives, answered)):
            raise _lacks_logprobs()
        words = self._words(prompt, ctx)
        values: list[float | None] = []
        problems: list[str | None] = []
        for completions in drawn:
            value = None
            if completions:
                value = share(completions[0], words.yes, words.no)
            values.append(value)
            problems.append(_why(completions) if value is None else None)
        _note_missing(problems, ctx)
        return values

    def _words(self, prompt: Prompt, ctx: Context) -> LanguageWords:
        template = template_for("yes_no", prompt, ctx, language=self.template_language, path=self.templates)
        return language_words().get(template.language, language_words()["en"])

    def _question(
        self, name: str, prompt: Prompt, text: str, params: SamplingParams, ctx: Context
    ) -> Question[int]:
        return question(
            name,
            prompt,
            {"1": answer_text(text)},
            ctx,
            role="judge",
            engine=self.engine,
            params=params,
            template_language=self.template_language,
            templates=self.templates,
            form=numbers(_BEST),
        )


def _value(reply: Reply[int]) -> float | None:
    if reply.probabilities is not None:
        return fsum(p * score for score, p in reply.probabilities.items())
    if reply.verdict is None:
        return None
    return float(reply.verdict)


def _lacks_logprobs() -> CapabilityError:
    return CapabilityError(
        "judge(mode=yes_no) reads log-probabilities, and this judge returns none:"
        " use  judge(mode=score), or an engine that does"
    )


def _why(completions: Sequence[Completion]) -> str:
    if not completions:
        return "the budget or the deadline forbids the call"
    return completions[0].error or "neither yes nor no is among the likeliest next tokens"


def _note_missing(problems: Sequence[str | None], ctx: Context) -> None:
    missing = [p for p in problems if p is not None]
    if missing:
        ctx.note(
            f"judge: {len(missing)} of {len(problems)} distinct candidates have no score; the first: {missing[0]}"
        )
