"""Classes of equal final answers in a pool, which a vote counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from nbest.answers.answer import Answer
from nbest.answers.equivalence import equivalent

_MAX_COMPARED: Final = 64
"""How many distinct answers are compared as mathematics; that costs time per pair."""


def classes(answers: Sequence[Answer | None]) -> list[str | None]:
    """For each answer the reading that names its class; None for None.

    An ambiguous answer joins the class of its reading that most unambiguous answers, then most answers,
    have: where a pool says 1234 and 1.234, both are 1234. Does not depend on the order of the pool.
    """
    same = _same_mathematics(answers)
    readings = [tuple(dict.fromkeys(same.get(r, r) for r in a.readings)) if a else () for a in answers]
    sole = Counter(r[0] for r in readings if len(r) == 1)
    total = Counter(reading for r in readings for reading in r)
    first = Counter(r[0] for r in readings if r)
    return [max(r, key=lambda k: (sole[k], total[k], first[k], k), default=None) for r in readings]


def _same_mathematics(answers: Sequence[Answer | None]) -> dict[str, str]:
    """Reading → the reading that stands for it, for expressions equal to another answer."""
    by_key = {a.key: a for a in answers if a and a.kind in {"expression", "number"}}
    expressions = sorted(k for k, a in by_key.items() if a.kind == "expression")
    heads = sorted(k for k, a in by_key.items() if a.kind == "number")[:_MAX_COMPARED]
    same: dict[str, str] = {}
    for key in expressions[:_MAX_COMPARED]:
        head = next((h for h in heads if equivalent(by_key[h], by_key[key])), None)
        if head is None:
            heads.append(key)
        else:
            same[key] = head
    return same
