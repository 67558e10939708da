"""When two final answers are the same."""

from __future__ import annotations

from functools import lru_cache

import regex

from nbest.text.answer import Answer
from nbest.text.choices import is_of_own_script, without_lookalike
from nbest.text.expressions import are_equal
from nbest.text.extraction import extract_marked
from nbest.text.readers import read
from nbest.text.spelling import loose_key, text_key
from nbest.text.units import are_same_quantity

_RELATIONS = regex.compile("[<>≤≥≠]")


def equivalent(a: Answer | str | None, b: Answer | str | None) -> bool:
    """Whether two final answers are the same; a string is read as a whole answer, as gold answers are.

    Symmetric and, for an answer with itself, true; None equals nothing. Not transitive where an answer
    is ambiguous: `1.234` equals both 1234 and 1.2340. Numbers are compared exactly: 0.33 is not 1/3. Where both
    have a unit that is known, they are compared as quantities (`are_same_quantity`). Mathematics that is not spelled alike is compared by `math-verify`, where
    it is installed. Never raises.
    """
    a, b = _answer(a), _answer(b)
    if a is None or b is None:
        return False
    if a.unit and b.unit:
        is_same = are_same_quantity(a, b)
        if is_same is not None:
            return is_same
    if a.kind == b.kind == "choice":
        a, b = _as_seen_beside(a, b), _as_seen_beside(b, a)
    if not set(a.readings).isdisjoint(b.readings):
        return True
    if "text" in {a.kind, b.kind}:
        return _are_same_words(a, b)
    if _are_intervals(a, b) and (a.key[0], a.key[-1]) != (b.key[0], b.key[-1]):
        return False
    if "expression" in {a.kind, b.kind}:
        relations = [set(_RELATIONS.findall(x.key)) for x in (a, b)]
        if relations[0] != relations[1] or any(x.key[:1] in "<>≤≥≠" for x in (a, b)):
            return False
        return are_equal(a.text, b.text)
    return False


def _as_seen_beside(choice: Answer, other: Answer) -> Answer:
    """Beside a Cyrillic letter that looks like no Latin one, В is the third letter, and no Latin B."""
    return without_lookalike(choice) if is_of_own_script(other) else choice


def _are_intervals(a: Answer, b: Answer) -> bool:
    return all(x.key[0] in "([" and x.key[-1] in ")]" and "," in x.key for x in (a, b))


def _are_same_words(a: Answer, b: Answer) -> bool:
    if a.kind != b.kind:
        return text_key(a.text) == text_key(b.text)
    return not {loose_key(r) for r in a.readings}.isdisjoint(loose_key(r) for r in b.readings)


def _answer(a: Answer | str | None) -> Answer | None:
    return _gold(a) if isinstance(a, str) else a


@lru_cache(maxsize=4096)
def _gold(text: str) -> Answer | None:
    return extract_marked(text) or read(text)
