"""A final answer, and when two of them are the same."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from nbest.types import Value

Kind = Literal["number", "choice", "verdict", "date", "expression", "text"]
"""What was read: a number, a letter of a choice, yes or no, a date, mathematics, or words."""


class Answer(Value, frozen=True):
    """A final answer. Two are the same where they share a reading (`equivalent`)."""

    text: str
    """As written, after Unicode normalisation, without what surrounds it."""
    kind: Kind
    readings: tuple[str, ...]
    """Canonical forms, likeliest first; more than one where the text allows more (`1.234`, `50 %`)."""
    unit: str | None = None
    """Unit or currency of a number, as written; never compared."""

    @property
    def key(self) -> str:
        """The likeliest reading: equal keys are equal answers."""
        return self.readings[0]

    @property
    def is_ambiguous(self) -> bool:
        """Whether the text allows more than one reading."""
        return len(self.readings) > 1


def equivalent(a: Answer | str | None, b: Answer | str | None) -> bool:
    """Whether two final answers are the same; a string is read as a whole answer, as gold answers are.

    Symmetric and, for an answer with itself, true; None equals nothing. Not transitive where an answer
    is ambiguous: `1.234` equals both 1234 and 1.2340. Numbers are compared exactly, without their
    units: 0.33 is not 1/3. Mathematics that is not spelled alike is compared by `math-verify`, where
    it is installed. Never raises.
    """
    a, b = _answer(a), _answer(b)
    if a is None or b is None:
        return False
    if not set(a.readings).isdisjoint(b.readings):
        return True
    if "text" in {a.kind, b.kind} and a.kind != b.kind:
        return _spelling(a.text) == _spelling(b.text)
    if "expression" in {a.kind, b.kind}:
        from nbest.answers.expressions import are_equal  # noqa: PLC0415

        return are_equal(a.text, b.text)
    return False


def _answer(a: Answer | str | None) -> Answer | None:
    return _gold(a) if isinstance(a, str) else a


@lru_cache(maxsize=4096)
def _gold(text: str) -> Answer | None:
    from nbest.answers.extract import extract_marked  # noqa: PLC0415
    from nbest.answers.readers import read  # noqa: PLC0415

    return extract_marked(text) or read(text)


def _spelling(text: str) -> str:
    from nbest.answers.readers import text_key  # noqa: PLC0415

    return text_key(text)
