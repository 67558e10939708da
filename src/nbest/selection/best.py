"""Best-of-N: the candidate that a scorer likes best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from nbest.context import Context
from nbest.protocols import Scorer, Selector
from nbest.registry import spec_of
from nbest.scoring.judge import Judge
from nbest.selection.first import First
from nbest.selection.pool import argmax, chosen, usable
from nbest.types import Candidate, Prompt, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """Best-of-N: argmax of a scorer (reward model, verifier, judge, confidence).

    Candidates that the scorer could not score never win; where it scored none, `fallback` chooses, with a note.
    """

    is_open_to_clients: ClassVar[bool] = True

    scorer: Scorer = field(default_factory=Judge)
    """By default a judge's grades, which need no further model; a reward model is what the papers use."""
    fallback: Selector = field(default_factory=First)
    """By default the first candidate: of a hedged pool the greedy one, what the user gets today."""

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        scored = zip(pool, await ctx.score(self.scorer, prompt, pool), strict=True)
        scores = {c.id: s.value for c, s in scored if s.value is not None}
        if not scores:
            ctx.fall_back(
                f"{spec_of(self.scorer)} scored no candidate: {spec_of(self.fallback)} chose instead"
            )
            return await self.fallback(prompt, pool, ctx)
        return chosen(argmax([c for c in pool if c.id in scores], scores), scores=scores)
