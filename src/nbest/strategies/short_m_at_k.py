"""A vote of the draws that finish first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nbest.context import Context
from nbest.demand import Demand, demand_of
from nbest.protocols import Sampler
from nbest.sampling.iid import Iid
from nbest.selection.pool import usable
from nbest.selection.vote import Vote
from nbest.types import Candidate, Prompt, Selection, replace


def _eight() -> Sampler:
    return Iid(n=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortMAtK:
    """short-m@k (Hassid et al. 2025, arXiv 2505.17813): of k draws at once, the m that end first vote.

    k is the sampler's size. Once m draws have ended by themselves, the others are cancelled and recorded as
    failed candidates; a truncated draw has not finished its reasoning, and does not count towards m. The m
    shortest draws vote (output tokens; of equal ones the lowest id), truncated ones only where there are fewer
    than m others. Of equal classes the one with the shortest answer wins, as in the paper.

    Which draws end first depends on the engine and its load, so this is the one strategy whose runs with the
    same seed may differ. Each draw is a call of its own; the usage of a cancelled one is unknown and not metered.
    """

    is_open_to_clients: ClassVar[bool] = True

    sampler: Sampler = field(default_factory=_eight)
    m: int = 3

    def __post_init__(self) -> None:
        if self.m < 1:
            raise ValueError(f"m must be at least 1, got {self.m}")

    def demand(self, n: int, steps: int) -> Demand:
        return demand_of(self.sampler)

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        pool = await ctx.sample(
            self.sampler(prompt, ctx.random("sample")), quorum=self.m, count_truncated=False
        )
        voters = sorted(usable(pool), key=_length)[: self.m]
        # Vote settles ties by the lowest id: for the length of the vote, ids are places by length.
        by_place = dict(enumerate(voters))
        chosen = await Vote()(prompt, [replace(c, id=i) for i, c in by_place.items()], ctx)
        return replace(
            chosen,
            winner=by_place[chosen.winner.id],
            weights={by_place[i].id: w for i, w in chosen.weights.items()},
            scores={by_place[i].id: s for i, s in chosen.scores.items()},
        )


def _length(candidate: Candidate) -> tuple[bool, int, int]:
    return candidate.finish == "length", candidate.usage.completion, candidate.id
