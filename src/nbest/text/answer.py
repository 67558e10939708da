"""A final answer."""

from __future__ import annotations

from typing import Final, Literal

from nbest.text.number import Number, as_share, number_key
from nbest.text.spelling import text_key
from nbest.types import Value

Kind = Literal["number", "choice", "verdict", "date", "expression", "text"]
"""What was read: a number, a letter of a choice, yes or no, a date, mathematics, or anything else by its words.

Times, ranges, lists and remainders are text in one form: `17:30`, `3-5`, `17 r 3`."""

MAX_TEXT_CHARS: Final = 500
"""A longer span is no final answer in words."""


class Answer(Value, frozen=True):
    """A final answer. Two are the same where they share a reading (`equivalent`)."""

    text: str
    """As written, after Unicode normalisation, without what surrounds it."""
    kind: Kind
    readings: tuple[str, ...]
    """Canonical forms, likeliest first; more than one where the text allows more (`1.234`, `50 %`, `B. Paris`)."""
    unit: str | None = None
    """Unit or currency of a number, as written, without an exponent."""
    is_in_parts: bool = False
    """Whether a number is a quantity in several units (`5 h 30 min`): its readings are in the largest and in the smallest."""

    @property
    def key(self) -> str:
        """The likeliest reading: equal keys are equal answers."""
        return self.readings[0]

    @property
    def is_ambiguous(self) -> bool:
        """Whether the text allows more than one reading."""
        return len(self.readings) > 1


def words_answer(clean: str) -> Answer | None:
    """`clean` as words; None for what is too long to be an answer."""
    if len(clean) > MAX_TEXT_CHARS:
        return None
    return Answer(text=clean, kind="text", readings=(text_key(clean),))


def number_answer(text: str, number: Number, unit: str | None) -> Answer:
    """A number as an answer; 50 % may be meant as 50 or as 0.5."""
    is_word = unit == "%" and number.unit != "%"  # the sign's values are both there already
    values = as_share(number.values, unit) if is_word else number.values
    return Answer(text=text.strip(), kind="number", readings=tuple(map(number_key, values)), unit=unit)
