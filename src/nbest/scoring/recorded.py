"""Scores that the pool came with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbest.context import Context
from nbest.errors import InputError
from nbest.protocols import FreeText
from nbest.types import Candidate, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A number that each candidate of a recorded pool carries, such as a human judgement.

    Raises `InputError` where it is no number, or no candidate of a pool carries it.
    """

    is_open_to_clients: ClassVar[bool] = False

    field: FreeText

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        values = [c.meta.get(self.field) for c in candidates]
        if candidates and all(self.field not in c.meta for c in candidates):
            known = sorted({key for c in candidates for key in c.meta})
            raise InputError(
                f"prompt {prompt.id!r}: no candidate carries {self.field!r}; they carry {', '.join(known) or 'nothing'}"
            )
        for candidate, value in zip(candidates, values, strict=True):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InputError(
                    f"prompt {prompt.id!r}, candidate {candidate.id}: {self.field} is {value!r}, no number"
                )
        return [Score(value=None if v is None else float(v)) for v in values]
