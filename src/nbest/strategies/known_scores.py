"""Scores that a strategy has already, as a scorer for its selector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbest.context import Context
from nbest.types import Candidate, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownScores:
    """Gives the scores in `by_id`, and None for candidates that have none."""

    is_recorded: ClassVar[bool] = False
    by_id: Mapping[int, Score]

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        return [self.by_id.get(c.id, Score(value=None)) for c in candidates]
