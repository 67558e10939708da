"""Smaller pools inside a recorded one, and what they would have cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from nbest.evaluate.recorded_draws import is_greedy
from nbest.types import Candidate, Usage


def subsets(
    candidates: Sequence[Candidate], n: int, resamples: int, seed: int, prompt_id: str
) -> list[tuple[Candidate, ...]]:
    """`resamples` pools of `n` of the candidates, by id; all of them: one pool.

    The greedy candidate is in each. Pool r of n is contained in pool r of n + 1.
    """
    if n >= len(candidates):
        return [tuple(candidates)]
    pools: list[tuple[Candidate, ...]] = []
    for r in range(resamples):
        order = list(candidates)
        Random(f"{seed}/{prompt_id}/order/{r}").shuffle(order)  # noqa: S311
        order.sort(key=lambda c: not is_greedy(c))
        pools.append(tuple(sorted(order[:n], key=lambda c: c.id)))
    return pools


def usage_of(candidates: Iterable[Candidate], drawn: Sequence[Candidate]) -> Usage:
    """What the calls that drew `candidates` would have cost for them alone.

    `drawn` is the whole pool. A call for n charges its prompt to the first of its draws; here, to whichever of
    them are wanted.
    """
    head_by_id: dict[int, Candidate] = {}
    head: Candidate | None = None
    for c in drawn:
        if head is None or c.usage.calls or c.usage.prompt:
            head = c
        head_by_id[c.id] = head
    wanted = list(candidates)
    calls = {head_by_id[c.id].id: head_by_id[c.id].usage for c in wanted}
    asked = sum(calls.values(), Usage())
    completion = sum(c.usage.completion for c in wanted)
    return Usage(prompt=asked.prompt, cached=asked.cached, completion=completion, calls=asked.calls)
