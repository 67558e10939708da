"""A span cut at its numbers, and quantities in several units: `5 h 30 min`, `3元5角`, `6 ft 2 in`.

They are read as a whole or not at all: a part that is not understood makes the reading None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import prod
from typing import Final

import regex

from nbest.text import cjk
from nbest.text.answer_words import Convention
from nbest.text.number import Number
from nbest.text.numerals import numbers_in
from nbest.text.quantity_words import (
    is_money,
    places_by_unit,
    ratios,
    unit_at_start,
    words,
    written_phrases,
)
from nbest.text.spelling import respelled

MAX_CHARS: Final = 200
_MAX_NUMBERS: Final = 20
_HAN_NUMERAL = regex.compile(r"[一二三四五六七八九十两兩]")
_TAIL = regex.compile(r"[\s.。!]*(?:です|だ|입니다|है|है।|است|ครับ|ค่ะ|整|左右|total|in total)?[\s.。]*")

InUnits = tuple[tuple[Fraction, ...], str]
"""A quantity in its largest and in its smallest unit, and the largest as written."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A span cut at its numbers: `before`, and behind each number what stands up to the next one or the end."""

    before: str
    numbers: Sequence[Number]
    behind: Sequence[str]


def parts_of(span: str, conv: Convention) -> Parts | None:
    """`span` cut at its numbers, the words between them in one spelling; None without a number, or with very many."""
    numbers: list[Number] = []
    for number in numbers_in(span, conv):
        numbers.append(number)
        if len(numbers) > _MAX_NUMBERS:
            return None
    if not numbers:
        return None
    ends = [*(n.start for n in numbers[1:]), len(span)]
    behind = [respelled(span[n.end : end]) for n, end in zip(numbers, ends, strict=True)]
    return Parts(respelled(span[: numbers[0].start]), numbers, behind)


def composite_value(span: str, conv: Convention) -> InUnits | None:
    """What a quantity in several units is in its largest, then in its smallest, and the largest as written.

    `5 h 30 min` is 5.5 and 330, `3元5角` 3.5 and 35, `3 dollars and 50 cents` 3.5 and 350.
    """
    if len(span) > MAX_CHARS:
        return None
    texts = [span]
    if _HAN_NUMERAL.search(span):
        texts.append(cjk.in_digits(span))
    for text in texts:
        parts = parts_of(text, conv)
        found = _units_behind(parts) or _units_before(parts) if parts and len(parts.numbers) > 1 else None
        if found:
            return found
    return None


def _units_behind(parts: Parts) -> InUnits | None:
    if without_about(parts.before) not in {"", "$", "€", "£"}:
        return None
    units: list[str] = []
    last = len(parts.numbers) - 1
    for i, (number, behind) in enumerate(zip(parts.numbers, parts.behind, strict=True)):
        unit, rest = _unit_and_rest(behind)
        unit = unit or number.unit
        ends_well = is_tail(rest) if i == last else is_connective(rest)
        if unit is None and ends_well and _is_hundredths(parts, i, units):
            return (parts.numbers[0].values[0] + number.values[0] / 100,), units[0]
        if unit is None or not ends_well:
            return None
        units.append(respelled(unit))
    return _in_largest(units, parts.numbers)


def _is_hundredths(parts: Parts, at: int, units: Sequence[str]) -> bool:
    """Whether the second of two numbers is the hundredths of an amount: "4 Euro 50"."""
    number = parts.numbers[at]
    has_two_digits = number.end - number.start == 2 and number.values[0].denominator == 1  # noqa: PLR2004
    return at == 1 and len(parts.numbers) == 2 and has_two_digits and is_money(units[0])  # noqa: PLR2004


def _units_before(parts: Parts) -> InUnits | None:
    """`saa 5 na dakika 30`, as Swahili has it."""
    if parts.behind[-1].strip():
        return None
    units: list[str] = []
    for before in (parts.before, *parts.behind[:-1]):
        words_before = before.split()
        if not words_before or not is_connective(" ".join(words_before[:-1])):
            return None
        units.append(respelled(words_before[-1]))
    return _in_largest(units, parts.numbers)


def _unit_and_rest(behind: str) -> tuple[str | None, str]:
    found = unit_at_start(behind)
    if found is None:
        return None, behind.strip()
    unit, end = found
    return unit, behind[end:].strip()


def _in_largest(units: Sequence[str], numbers: Sequence[Number]) -> InUnits | None:
    """The sum in the first unit and in the last, where the units are of one family and fall."""
    options = [dict(places_by_unit().get(unit, ())) for unit in units]
    for family in options[0]:
        places = [option[family] for option in options if family in option]
        if len(places) == len(options) and all(a < b for a, b in pairwise(places)):
            return _sum(family, places, numbers), units[0]
    return None


def _sum(family: str, places: Sequence[int], numbers: Sequence[Number]) -> tuple[Fraction, ...]:
    per = ratios(family)
    largest = Fraction(0)
    for place, number in zip(places, numbers, strict=True):
        largest += abs(number.values[0]) / prod(per[places[0] : place])
    if numbers[0].values[0] < 0:
        largest = -largest
    return largest, largest * prod(per[places[0] : places[-1]])


def is_connective(text: str) -> bool:
    """Whether `text` joins two parts: nothing, a comma, "and" or "or"."""
    found = text.strip(" ,;、·-")
    return not found or found in words("between", "and") or found in words("between", "or")


def is_tail(text: str) -> bool:
    """Whether `text` is nothing but grammar or punctuation behind the last part."""
    return _TAIL.fullmatch(text) is not None


def without_about(text: str) -> str:
    """`text` without "about", "a total of", "exactly" and signs of approximation."""
    text = text.strip(" ≈~≃:,=")
    while text:
        rest = written_phrases("sign", "about").without_start(text)
        if rest is None:
            break
        text = rest.strip(" ≈~≃:,=")
    return text
