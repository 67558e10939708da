"""Checklisted One-Pass Selection: one long-context judge call reads all candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import ClassVar

from nbest import registry
from nbest.context import Context
from nbest.demand import TOKENS_PER_CANDIDATE, Demand, demand_of, total
from nbest.judging.judge_calls import ask
from nbest.judging.judge_questions import Question, Read, Reply, demand_of_questions, question
from nbest.judging.pools import distinct, labelled, shuffled, with_text_of
from nbest.judging.sections import MARK_TOKENS, most_tokens
from nbest.judging.templates import TemplateLanguage
from nbest.judging.verdict_forms import numbers
from nbest.protocols import EngineName, Selector, ServerPath
from nbest.selection.mbr import Mbr
from nbest.selection.pool import chosen, usable
from nbest.types import Candidate, Json, Prompt, SamplingParams, Selection, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Chops:
    """Checklisted One-Pass Selection (Khairi et al. 2025, arXiv 2506.20544).

    The judge sees the prompt and every distinct candidate, in an order shuffled with the seed, writes a
    checklist for this task and language, assesses each candidate against it and names one. A reply
    without a readable verdict is asked for once more; then `fallback` chooses, with a note. Nothing is
    asked where all candidates are the same. A pool longer than the judge's context is judged in parts,
    whose winners meet in the next round; `details` tell what the judge has "chosen" in each, or the "fallback".
    Raises `InputError` for a template that cannot be used.
    """

    is_open_to_clients: ClassVar[bool] = True

    judge: EngineName | None = None
    """Name of the engine that judges; without one the engine called "judge", else the policy itself."""
    fallback: Selector = field(default_factory=Mbr)
    """Chooses where there is no verdict. MBR, because it suits answers of any kind and language."""
    temperature: float = 0.0
    """Of the judge's replies."""
    max_tokens: int = 4096
    """Of the judge's reply."""
    context_tokens: int = 32_768
    """What fits into the judge's context, its replies included."""
    read: Read = "text"
    """How the verdict is read: text, grammar (structured output) or logprobs (see `judging.judge_calls`)."""
    template_language: TemplateLanguage = "en"
    templates: ServerPath | None = None
    """A template file, or a directory of them, instead of the ones that ship."""

    def __post_init__(self) -> None:
        SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)
        if self.context_tokens <= 2 * self.max_tokens:
            raise ValueError(
                f"context_tokens ({self.context_tokens}) must hold the prompt and two replies of max_tokens"
                f" ({self.max_tokens}): raise the one or lower the other"
            )

    def demand(self, n: int, steps: int) -> Demand:
        room = (self.context_tokens - 2 * self.max_tokens) // TOKENS_PER_CANDIDATE
        num_calls = ceil(max(0, n - 1) / (max(2, room) - 1))
        return total(demand_of_questions(num_calls, self.max_tokens, self.read), demand_of(self.fallback, n))

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        standing = shuffled(await distinct(pool), ctx)
        selection = chosen(standing[0])
        rounds: list[dict[str, Json]] = []
        while len(standing) > 1:
            parts = self._parts(prompt, standing, ctx)
            contested = [part for part in parts if len(part) > 1]
            questions = [self._question(prompt, part, ctx) for part in contested]
            replies = await ask(questions, ctx, read=self.read)
            if not contested:
                problem = f"no two candidates fit into {self.context_tokens} tokens"
                parts, contested, replies = [standing], [standing], [Reply[int](None, "", problem)]
            standing = [part[0] for part in parts if len(part) == 1]
            for part, reply in zip(contested, replies, strict=True):
                selection = await self._selection(prompt, part, reply, pool, ctx)
                standing.append(selection.winner)
                by = "chosen" if reply.verdict is not None else "fallback"
                rounds.append({"shown": [c.id for c in part], by: selection.winner.id, **reply.record})
        return replace(selection, details={"rounds": rounds} if rounds else {})

    async def _selection(
        self,
        prompt: Prompt,
        part: Sequence[Candidate],
        reply: Reply[int],
        pool: list[Candidate],
        ctx: Context,
    ) -> Selection:
        if reply.verdict is not None:
            probabilities = reply.probabilities or {}
            scores = {part[place - 1].id: p for place, p in probabilities.items()}
            return chosen(part[reply.verdict - 1], scores=scores, rationale=reply.text)
        why = f"chops: {reply.problem}; {registry.spec_of(self.fallback)} chose instead"
        ctx.fall_back(why)
        fallen_back = await self.fallback(prompt, with_text_of(part, pool), ctx)
        return replace(fallen_back, rationale=f"{why}\n\n{reply.text}".strip())

    def _question(self, prompt: Prompt, part: Sequence[Candidate], ctx: Context) -> Question[int]:
        return question(
            "chops",
            prompt,
            labelled(part),
            ctx,
            role="judge",
            engine=self.judge,
            params=SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens),
            template_language=self.template_language,
            templates=self.templates,
            form=numbers(len(part)),
        )

    def _parts(self, prompt: Prompt, standing: Sequence[Candidate], ctx: Context) -> list[list[Candidate]]:
        """The candidates in runs that fit into the judge's context."""
        empty = self._question(prompt, [], ctx)
        asked = empty.request.prompt.text + empty.repair
        room = self.context_tokens - 2 * self.max_tokens - most_tokens(asked)
        parts: list[list[Candidate]] = []
        left = 0
        for candidate in standing:
            size = most_tokens(candidate.text) + MARK_TOKENS
            if not parts or size > left:
                parts.append([])
                left = room
            parts[-1].append(candidate)
            left -= size
        return parts
