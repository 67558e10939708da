"""Best-of-N: the candidate that a scorer likes best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbest.context import Context
from nbest.errors import SelectionError
from nbest.protocols import Scorer
from nbest.selection.pool import argmax, chosen, usable
from nbest.types import Candidate, Prompt, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """Best-of-N: argmax of a scorer (reward model, verifier, judge, confidence).

    Candidates that the scorer could not score never win; raises `SelectionError` where it scored none.
    """

    scorer: Scorer

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        scored = zip(pool, await self.scorer(prompt, pool, ctx), strict=True)
        scores = {c.id: s.value for c, s in scored if s.value is not None}
        if not scores:
            raise SelectionError(f"the scorer scored none of the {len(pool)} candidates")
        return chosen(argmax([c for c in pool if c.id in scores], scores), scores=scores)
