"""The first to finish decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nbest.context import Context
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

    k is the sampler's size. Once m draws have ended by themselves the others are cancelled, and are recorded
    as candidates that say so; one that `max_tokens` cut has not finished thinking, and is none of the m. Of
    those that are there, the m shortest vote (tokens drawn; of equal ones the lowest id), those that
    `max_tokens` cut only where there are fewer than m others. Of equal classes the one with the shortest
    answer wins, as in the paper.

    Which draws end first is up to the engine, so two runs may differ here where no other strategy does: a
    cancelled draw is another one on a busier machine. Each draw is a call of its own; what a cancelled one
    had drawn is not metered, for no server says.
    """

    is_open_to_clients: ClassVar[bool] = True

    sampler: Sampler = field(default_factory=_eight)
    m: int = 3

    def __post_init__(self) -> None:
        if self.m < 1:
            raise ValueError(f"m must be at least 1, got {self.m}")

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
