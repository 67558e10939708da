"""Pools as judges and fusors see them: each answer once, in an order that carries no information."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nbest.context import Context
from nbest.offload import spaced
from nbest.text.reasoning import answer_text
from nbest.types import Candidate


async def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The lowest id of each answer, by id; texts that differ in their reasoning or outer white space are one."""
    first: dict[str, Candidate] = {}
    async for c in spaced(sorted(candidates, key=lambda c: c.id)):
        first.setdefault(answer_text(c.text).strip(), c)
    return list(first.values())


def with_text_of(shown: Sequence[Candidate], pool: Sequence[Candidate]) -> list[Candidate]:
    """Those `shown`, and the candidates of `pool` with the same answer, by id."""
    texts = {answer_text(c.text).strip() for c in shown}
    by_id = {c.id: c for c in shown}
    by_id |= {c.id: c for c in pool if answer_text(c.text).strip() in texts}
    return sorted(by_id.values(), key=lambda c: c.id)


def shuffled(candidates: Sequence[Candidate], ctx: Context) -> list[Candidate]:
    """An order that depends on the run's seed and the prompt only, not on the order of the pool."""
    order = sorted(candidates, key=lambda c: c.id)
    ctx.random("select").shuffle(order)
    return order


def labelled(candidates: Sequence[Candidate]) -> dict[str, str]:
    """What each candidate answers, by place, from "1"."""
    return {str(i): answer_text(c.text) for i, c in enumerate(candidates, 1)}
