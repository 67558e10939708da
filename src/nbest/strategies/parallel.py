"""Sample a pool, select one answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

from nbest.context import Context
from nbest.demand import Demand, demand_of, total
from nbest.drawing import was_cancelled
from nbest.protocols import Sampler, Selector, Stop
from nbest.sampling.hedged import Hedged
from nbest.selection.mbr import Mbr
from nbest.selection.pool import select
from nbest.strategies.wanted_logprobs import with_logprobs
from nbest.strategies.waves import draw_in_waves
from nbest.types import Prompt, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """Sample a pool at once, select one answer (Khairi et al. 2025, arXiv 2506.20544).

    With a `quorum` the slowest draws are given up: once that many are there, the others have `grace` times as
    long as it took until then, and are cancelled after that. Each draw is then a call of its own.

    With a `stop` the sampler's draws are made `wave` at a time, and end where the rule says that more will not pay;
    what is under way then is cancelled. Each draw is a call of its own here too. A small wave saves tokens, a large one
    time; with a wave of n, all are drawn at once and cancelled when the rule is certain. The rule sees draws in the order
    in which they end, so that with a wave above 1 runs with the same seed may differ.
    """

    is_open_to_clients: ClassVar[bool] = True

    sampler: Sampler = field(default_factory=Hedged)
    selector: Selector = field(default_factory=Mbr)
    quorum: int | None = None
    grace: float = 0.5
    stop: Stop | None = None
    wave: int = 4

    def __post_init__(self) -> None:
        if self.quorum is not None and self.quorum < 1:
            raise ValueError(f"quorum must be at least 1, got {self.quorum}")
        if not 0 <= self.grace < inf:
            raise ValueError(f"grace must be a finite number of at least 0, got {self.grace:g}")

        if self.wave < 1:
            raise ValueError(f"wave must be at least 1, got {self.wave}")
        if self.stop is not None and self.quorum is not None:
            raise ValueError("quorum and stop both say when to end: give one of them")

    def demand(self, n: int, steps: int) -> Demand:
        drawn = demand_of(self.sampler)
        return total(drawn, demand_of(self.selector, drawn.draws))

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        requests = with_logprobs(self.sampler(prompt, ctx.random("sample")), self)
        if self.stop is not None:
            pool = await draw_in_waves(self.stop, self.wave, requests, prompt, ctx)
            return await select(self.selector, prompt, pool, ctx)

        is_alone = sum(r.n for r in requests) == 1
        pool = await ctx.sample(requests, quorum=self.quorum, grace=self.grace, is_answer=is_alone)
        if ctx.stopped == "done" and any(map(was_cancelled, pool)):
            ctx.stopped = "quorum"
        return await select(self.selector, prompt, pool, ctx)
