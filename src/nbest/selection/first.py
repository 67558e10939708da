"""The first candidate, without looking at the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbest.context import Context
from nbest.selection.pool import chosen, usable
from nbest.types import Candidate, Prompt, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """A baseline: the usable candidate with the lowest id. Of a hedged pool, that is the greedy draw."""

    is_open_to_clients: ClassVar[bool] = True

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        return chosen(usable(candidates)[0])
