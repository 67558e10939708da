"""Any candidate, without looking at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbest.context import Context
from nbest.selection.pool import chosen, usable
from nbest.types import Candidate, Prompt, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Random:
    """A baseline: any usable candidate, each as likely as the others; of equal texts the lowest id stands for all.

    The choice depends on the run's seed and the prompt id.
    """

    is_open_to_clients: ClassVar[bool] = True
    is_stochastic: ClassVar[bool] = True

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        text = ctx.random("select").choice(pool).text
        return chosen(next(c for c in pool if c.text == text))
