"""Fusion-of-N: make the best answer instead of taking it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from nbest import registry
from nbest.context import Context
from nbest.demand import Demand, demand_of, others, total
from nbest.judging.fusion import fusion_request
from nbest.judging.pools import distinct, shuffled
from nbest.judging.sections import MARK_TOKENS, most_tokens, texts_of
from nbest.judging.templates import TemplateLanguage
from nbest.protocols import EngineName, Selector, ServerPath
from nbest.selection.mbr import Mbr
from nbest.selection.pool import chosen, is_blank, usable
from nbest.text.language import is_in_language
from nbest.text.reasoning import answer_text
from nbest.types import Candidate, Prompt, Request, SamplingParams, Selection, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuse:
    """Fusion-of-N (Khairi et al. 2025, arXiv 2510.00931): a fusor reads all N and writes one better answer.

    The answer is a new candidate of the trace that names its parents; `weights` are their equal shares.
    Distinct candidates are shown, in an order shuffled with the seed, as many as fit the fusor's
    context. Where all are the same there is nothing to fuse, and it wins. Where the fusor fails, is
    forbidden by the budget, is cut off, writes nothing or drifts into another language, `fallback` chooses
    among the candidates, with a note; what was drawn stays in the trace. Raises `InputError` for a
    template that cannot be used.
    """

    is_open_to_clients: ClassVar[bool] = True

    fusor: EngineName | None = None
    """Name of the engine that fuses; without one the engine called "fusor", else the policy itself."""
    fallback: Selector = field(default_factory=Mbr)
    temperature: float = 0.0
    max_tokens: int = 2048
    context_tokens: int = 32_768
    """What fits into the fusor's context, its answer included."""
    template_language: TemplateLanguage = "prompt"
    """The prompt's: an answer in the right language matters more than instructions in English."""
    templates: ServerPath | None = None
    """A template file, or a directory of them, instead of the ones that ship."""

    def __post_init__(self) -> None:
        SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)

    def demand(self, n: int, steps: int) -> Demand:
        return total(others(1, self.max_tokens), demand_of(self.fallback, n))

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        apart = await distinct(pool)
        if len(apart) == 1:
            return chosen(apart[0])
        parents = self._fitting(prompt, shuffled(apart, ctx), ctx)
        if len(parents) < 2:  # noqa: PLR2004 (fusing takes two)
            return await self._fallen_back(
                prompt, pool, f"no two candidates fit into {self.context_tokens} tokens", ctx
            )
        drawn = await ctx.sample([self._request(prompt, parents, ctx)], is_answer=True)
        problem = _problem(drawn) or _drift(drawn[0], parents, prompt)
        if problem and ctx.emitted and drawn[0].is_usable:
            ctx.note(f"fuse: {problem}; but it was sent while it was written, and stands")
        elif problem:
            return await self._fallen_back(prompt, pool, problem, ctx)
        return chosen(drawn[0], weights=dict.fromkeys(drawn[0].parents, 1.0))

    def _request(self, prompt: Prompt, parents: Sequence[Candidate], ctx: Context) -> Request:
        seed = ctx.random("fuse").getrandbits(31) if self.temperature > 0 else None
        return fusion_request(
            "fuse",
            prompt,
            parents,
            ctx,
            role="fusor",
            engine=self.fusor,
            params=SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens, seed=seed),
            template_language=self.template_language,
            templates=self.templates,
        )

    def _fitting(self, prompt: Prompt, order: Sequence[Candidate], ctx: Context) -> list[Candidate]:
        """As many as fit into the fusor's context, from the front."""
        around = sum(most_tokens(t) for t in texts_of(self._request(prompt, [], ctx).prompt))
        room = self.context_tokens - self.max_tokens - around
        fitting: list[Candidate] = []
        for candidate in order:
            room -= most_tokens(candidate.text) + MARK_TOKENS
            if room < 0:
                ctx.note(
                    f"fuse: {len(fitting)} of {len(order)} candidates fit into {self.context_tokens} tokens"
                )
                break
            fitting.append(candidate)
        return fitting

    async def _fallen_back(
        self, prompt: Prompt, pool: Sequence[Candidate], problem: str, ctx: Context
    ) -> Selection:
        why = f"fuse: {problem}; {registry.spec_of(self.fallback)} chose instead"
        ctx.fall_back(why)
        return replace(await self.fallback(prompt, pool, ctx), rationale=why)


def _problem(drawn: Sequence[Candidate]) -> str | None:
    if not drawn:
        return "the budget or the deadline forbids the call"
    fused = drawn[0]
    if fused.error is not None:
        return f"the fusor failed: {fused.error}"
    if fused.finish == "length":
        return "the fused answer was cut off at max_tokens"
    return "the fusor wrote nothing" if is_blank(answer_text(fused.text)) else None


def _drift(fused: Candidate, parents: Sequence[Candidate], prompt: Prompt) -> str | None:
    """Language confusion that the fusor brought in: judged only where a parent does not show it too."""
    wanted = prompt.language
    if not wanted or is_in_language(answer_text(fused.text), wanted) is not False:
        return None
    if all(is_in_language(answer_text(c.text), wanted) is False for c in parents):
        return None
    return f"the fused answer is not in {wanted}"
