"""What every other selector is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbest.context import Context
from nbest.selection.pool import chosen, usable
from nbest.types import Candidate, Prompt, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first candidate: of a hedged pool, the greedy one."""

    is_open_to_clients: ClassVar[bool] = True

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        return chosen(usable(candidates)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Random:
    """Any candidate, each as likely as the others; of equal texts the first stands for all."""

    is_open_to_clients: ClassVar[bool] = True

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        text = ctx.random("select").choice(pool).text
        return chosen(next(c for c in pool if c.text == text))
