"""A final answer."""

from __future__ import annotations

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
