"""Scores that the pool came with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbest.context import Context
from nbest.errors import InputError
from nbest.types import Candidate, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A number that each candidate of a recorded pool carries, such as a human judgement."""

    field: str

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        values = [c.meta.get(self.field) for c in candidates]
        for candidate, value in zip(candidates, values, strict=True):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InputError(
                    f"prompt {prompt.id!r}, candidate {candidate.id}: {self.field} is {value!r}, no number"
                )
        return [Score(value=None if v is None else float(v)) for v in values]
