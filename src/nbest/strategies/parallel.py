"""Sample a pool, select one answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from nbest.context import Context
from nbest.protocols import Sampler, Selector, logprobs_needed
from nbest.sampling.draws import Hedged
from nbest.selection.mbr import Mbr
from nbest.types import Prompt, Selection, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """Sample a pool at once, select one answer (Khairi et al. 2025, arXiv 2506.20544)."""

    sampler: Sampler = field(default_factory=Hedged)
    selector: Selector = field(default_factory=Mbr)

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        requests = self.sampler(prompt, ctx.random("sample"))
        if (k := logprobs_needed(self.selector)) is not None:
            requests = [replace(r, params=replace(r.params, logprobs=k)) for r in requests]
        return await self.selector(prompt, await ctx.sample(requests), ctx)
