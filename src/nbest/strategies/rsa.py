"""Recursive self-aggregation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from nbest.context import Context
from nbest.demand import Demand, answers, demand_of, total
from nbest.judging.fusion import fusion_request
from nbest.judging.templates import TemplateLanguage
from nbest.offload import spaced
from nbest.protocols import Sampler, Selector, ServerPath
from nbest.sampling.iid import Iid
from nbest.selection.pool import select
from nbest.selection.vote import Vote
from nbest.strategies.wanted_logprobs import with_logprobs
from nbest.text.calls import said
from nbest.types import Candidate, Prompt, Request, SamplingParams, Selection, replace


def _population() -> Sampler:
    return Iid(n=8, temperature=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rsa:
    """Recursive self-aggregation (Venkatraman et al. 2025, arXiv 2509.26626).

    A population of N answers is sampled. In each of T steps the model writes N new answers, each from K
    members of the population drawn without replacement, and these replace it. Then `selector` chooses
    from the last population. N·(1 + T) draws, all by the policy; the paper's runs take N=16, K=4, T=10.

    An answer that fails or is truncated does not replace the one in its place, and neither does a draw that the
    budget or the deadline leaves out: whatever ends the search, the last population is whole.
    """

    is_open_to_clients: ClassVar[bool] = True

    sampler: Sampler = field(default_factory=_population)
    """The first population; its size is N."""
    subset: int = 4
    """K, how many answers each new one is made from."""
    steps: int = 3
    """T, how often the population is replaced."""
    selector: Selector = field(default_factory=Vote)
    """The paper's: a majority vote."""
    temperature: float = 1.0
    max_tokens: int = 1024
    template_language: TemplateLanguage = "prompt"
    templates: ServerPath | None = None
    """A template file, or a directory of them, instead of the ones that ship."""

    def __post_init__(self) -> None:
        if self.subset < 1 or self.steps < 0:
            raise ValueError(
                f"subset must be at least 1 and steps at least 0, got {self.subset} and {self.steps}"
            )
        SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)

    def demand(self, n: int, steps: int) -> Demand:
        first = demand_of(self.sampler)
        size = first.draws
        return total(first, answers(size * self.steps, self.max_tokens), demand_of(self.selector, size))

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        first = with_logprobs(self.sampler(prompt, ctx.random("sample")), self.selector)
        size = sum(r.n for r in first)
        drawn = await ctx.sample(first)
        population = [c for c in drawn if c.is_usable]
        if not population:
            return await select(self.selector, prompt, drawn, ctx)  # raises, and says why

        rng = ctx.random("rsa")
        for _ in range(self.steps):
            if ctx.seconds_left == 0:
                break
            requests = [self._aggregation(prompt, population, rng, ctx) async for _ in spaced(range(size))]
            population = _replaced(population, await ctx.sample(with_logprobs(requests, self.selector)))
        return await select(self.selector, prompt, population, ctx)

    def _aggregation(
        self, prompt: Prompt, population: Sequence[Candidate], rng: Random, ctx: Context
    ) -> Request:
        parents = rng.sample(population, min(self.subset, len(population)))
        return fusion_request(
            "rsa",
            prompt,
            [replace(c, text=said(c)) for c in parents],
            ctx,
            role="policy",
            engine=None,
            params=SamplingParams(
                temperature=self.temperature, max_tokens=self.max_tokens, seed=rng.getrandbits(31)
            ),
            template_language=self.template_language,
            templates=self.templates,
        )


def _replaced(population: Sequence[Candidate], drawn: Sequence[Candidate]) -> list[Candidate]:
    """The new answers, each in its place. One that failed leaves the old answer, and so does a truncated one,
    unless the old one is truncated too."""
    places: list[Candidate | None] = [*population]
    places += [None] * (len(drawn) - len(places))
    for i, new in enumerate(drawn):
        old = places[i]
        is_truncated = new.finish == "length" and old is not None and old.finish != "length"
        if new.is_usable and not is_truncated:
            places[i] = new
    return [c for c in places if c is not None]
