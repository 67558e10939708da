"""Pools as judges and fusors see them: each text once, in an order that says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nbest.context import Context
from nbest.types import Candidate


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The lowest id of each text, by id; texts that differ in outer white space only are one."""
    first: dict[str, Candidate] = {}
    for c in sorted(candidates, key=lambda c: c.id):
        first.setdefault(c.text.strip(), c)
    return list(first.values())


def with_text_of(shown: Sequence[Candidate], pool: Sequence[Candidate]) -> list[Candidate]:
    """Those `shown`, and the candidates of `pool` that say the same, by id."""
    texts = {c.text.strip() for c in shown}
    made_since = {c.id: c for c in shown}
    return sorted(
        (made_since | {c.id: c for c in pool if c.text.strip() in texts}).values(), key=lambda c: c.id
    )


def shuffled(candidates: Sequence[Candidate], ctx: Context) -> list[Candidate]:
    """An order that depends on the run's seed and the prompt only, not on the order of the pool."""
    order = sorted(candidates, key=lambda c: c.id)
    ctx.random("select").shuffle(order)
    return order


def labelled(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Texts by place, from "1"."""
    return {str(i): c.text for i, c in enumerate(candidates, 1)}
