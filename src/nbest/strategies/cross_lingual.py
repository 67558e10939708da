"""A pool in the prompt's language, and evidence drawn for the prompt's translations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from nbest.context import Context
from nbest.demand import Demand, demand_of, others, total
from nbest.protocols import EngineName, LanguageCode, Sampler, Selector, ServerPath
from nbest.sampling.hedged import Hedged
from nbest.sampling.spread import resized
from nbest.sampling.spread import size as size_of
from nbest.sampling.translated import asked_in, check_sizes, evidence, pivots_of
from nbest.sampling.turn_templates import PLACE, template, with_turn
from nbest.selection.pool import select
from nbest.strategies.wanted_logprobs import with_logprobs
from nbest.types import Completion, Message, Prompt, Request, SamplingParams, Selection, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossLingual:
    """Cross-lingual evidence by the model's own translation (Khairi et al. 2025, arXiv 2506.20544).

    Two calls deep: while the pool is drawn in the prompt's language, the model translates the last user
    turn into each pivot; then evidence is drawn for the translations, and `selector` (`xmbr`) chooses from
    the pool with the evidence. The sampler `translated` is the same in one call, without a translation:
    there the model reads the question in its own language.

    A translation that fails or is cut off is noted, and the question asked as it is, with the instruction
    to answer in the pivot language. Translations are no candidates; they are drawn by the policy's engine
    (or `translator`) and metered as the verifier's, for that is what they help. Pool first: what a budget
    does not allow is evidence. A prompt in the only pivot's language is answered from a pool of all draws.
    """

    is_open_to_clients: ClassVar[bool] = True

    selector: Selector
    sampler: Sampler = field(default_factory=Hedged)
    """Plans the pool, and the evidence."""
    languages: tuple[LanguageCode, ...] = ("en",)
    """Pivots, ISO 639-1; evidence is dealt to them in turn."""
    evidence: int | None = None
    """Draws in all pivots together; as many as the sampler's n without it."""
    translator: EngineName = "policy"
    """Name of the engine that translates."""
    max_tokens: int = 1024
    """Of a translation."""
    templates: ServerPath | None = None
    """Directory of `xx.txt` that replace the instructions to translate, with `{prompt}` for the turn."""

    def __post_init__(self) -> None:
        if not self.languages:
            raise ValueError("languages must name at least one, such as  languages=[en]")
        if self.evidence is not None and self.evidence < 0:
            raise ValueError(f"evidence must be at least 0 draws, got {self.evidence}")
        check_sizes(self.sampler, self._num_draws, len(self.languages))
        for language in self.languages:
            template("translate_into", language, self.templates)
            template("answer_in", language)

    @property
    def _num_draws(self) -> int:
        """Of the pool and the evidence."""
        size = size_of(self.sampler)
        return size + (size if self.evidence is None else self.evidence)

    def demand(self, n: int, steps: int) -> Demand:
        return total(
            demand_of(resized(self.sampler, self._num_draws)),
            others(min(self._num_draws, len(self.languages)), self.max_tokens),
            demand_of(self.selector, self._num_draws),
        )

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        ctx.engine_for("verifier", self.translator)  # raises before anything is drawn
        size = size_of(self.sampler)
        num_evidence = self.evidence
        if num_evidence is None:
            num_evidence = size
        pivots = pivots_of(prompt, self.languages)[:num_evidence]
        num_own = size
        if not pivots:
            num_own = size + num_evidence
        rng = ctx.random("sample")
        own = with_logprobs(resized(self.sampler, num_own)(prompt, rng), self.selector)

        # Both at once; the pool's draws are granted first.
        pool, translations = await asyncio.gather(
            ctx.sample(own), ctx.complete([self._translation(prompt, p) for p in pivots])
        )
        translated = [
            self._pivot_prompt(prompt, language, drawn, ctx)
            for language, drawn in zip(pivots, translations, strict=True)
        ]

        plan = with_logprobs(evidence(self.sampler, num_evidence, translated, rng), self.selector)
        pool += await ctx.sample(plan)
        return await select(self.selector, prompt, pool, ctx)

    def _translation(self, prompt: Prompt, language: str) -> Request:
        instruction = template("translate_into", language, self.templates).replace(PLACE, prompt.text)
        message = Message(role="user", content=instruction)
        return Request(
            prompt=replace(prompt, messages=(message,), language=language),
            params=SamplingParams(temperature=0.0, max_tokens=self.max_tokens),
            role="verifier",
            engine=self.translator,
        )

    def _pivot_prompt(
        self, prompt: Prompt, language: str, drawn: Sequence[Completion], ctx: Context
    ) -> Prompt:
        """The prompt that evidence in `language` answers: translated, or as it is if the translation failed."""
        is_whole = bool(drawn) and drawn[0].error is None and drawn[0].finish == "stop"
        text = ""
        if is_whole:
            text = drawn[0].text.strip()
        if not text:
            ctx.note(f"cross_lingual: no translation into {language}; the question was asked as it is")
            return asked_in(prompt, language)
        translated = replace(with_turn(prompt, text), language=language)
        if len(prompt.messages) == 1:
            return translated
        # Other turns are still in the prompt's language, so the answer's has to be asked for.
        return asked_in(translated, language)
