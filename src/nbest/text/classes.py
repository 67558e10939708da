"""Classes of equal final answers in a pool, which a vote counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import regex

from nbest.text.answer import Answer
from nbest.text.calls import calls_key
from nbest.text.choices import is_of_own_script, without_lookalike
from nbest.text.equivalence import equivalent
from nbest.text.json_data import data_keys
from nbest.types import Candidate

_MAX_COMPARED: Final = 64
"""How many distinct answers are compared as mathematics; that costs time per pair."""


def answer_keys(
    candidates: Sequence[Candidate], read: Callable[[Candidate], Answer | None]
) -> list[str | None]:
    """For each candidate what names the class of its answer; None for one without an answer.

    Calls of tools are equal by name and canonical arguments, JSON objects by their fields (`data_keys`),
    everything else by the final answer that `read` finds (`classes`).
    """
    calls = [calls_key(c) for c in candidates]
    data = data_keys([None if key else c.text for c, key in zip(candidates, calls, strict=True)])
    named = [key or of_data for key, of_data in zip(calls, data, strict=True)]
    answers = [None if key else read(c) for c, key in zip(candidates, named, strict=True)]
    return [key or answer for key, answer in zip(named, classes(answers), strict=True)]


def classes(answers: Sequence[Answer | None]) -> list[str | None]:
    """For each answer the reading that names its class; None for None.

    An ambiguous answer joins the class of its reading that most unambiguous answers, then most answers,
    have: where a pool says 1234 and 1.234, both are 1234. Does not depend on the order of the pool.
    """
    answers = _without_lookalikes(answers)
    same = _same_mathematics(answers)
    given = _without_markers([() if a is None else a.readings for a in answers])
    readings = [tuple(dict.fromkeys(same.get(r, r) for r in of_one)) for of_one in given]
    if not any(len(of_one) > 1 for of_one in readings):
        return [next(iter(of_one), None) for of_one in readings]
    sole = Counter(r[0] for r in readings if len(r) == 1)
    total = Counter(reading for r in readings for reading in r)
    first = Counter(r[0] for r in readings if r)
    return [max(r, key=lambda k: (sole[k], total[k], first[k], k), default=None) for r in readings]


def _without_lookalikes(answers: Sequence[Answer | None]) -> Sequence[Answer | None]:
    """The answers; where one is Б, the choice В is Cyrillic too, and no Latin B."""
    if not any(a is not None and is_of_own_script(a) for a in answers):
        return answers
    return [None if a is None else without_lookalike(a) for a in answers]


_CHOICE = regex.compile(r"\([A-J]\)")
_NUMBER = regex.compile(r"-?[0-9]+(?:[./][0-9]+)?")


def _without_markers(given: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The readings without choices that mark an answer instead: `A: 17` beside `A: 18` is no option A.

    Of a choice among options one letter has one content.
    """
    if not any(len(readings) > 1 for readings in given):
        return list(given)
    contents: dict[str, set[str]] = defaultdict(set)
    for readings in given:
        number = next((r for r in readings if _NUMBER.fullmatch(r)), None)
        letters = [r for r in readings if number and _CHOICE.fullmatch(r)]
        for letter in letters:
            contents[letter].update(filter(None, [number]))
    markers = {letter for letter, found in contents.items() if len(found) > 1}
    return [tuple(r for r in readings if len(readings) == 1 or r not in markers) for readings in given]


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
