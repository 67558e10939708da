"""Whether two numbers with units are the same quantity: 5 km is 5000 m, and is neither 5 m nor 5 kg."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from math import prod
from typing import Final

import regex

from nbest.text.answer import Answer
from nbest.text.quantity_words import currency_by_word, measures_by_unit, places_by_unit, ratios
from nbest.text.spelling import respelled

_HAS_EXPONENT = regex.compile(r"\^|[²³]|[0-9]\s?[\p{Latin}\p{Cyrillic}]{1,3}[23](?!\p{N})")
"""Of an area or a volume: units are kept without their exponents."""
_MONEY: Final = "money"


def are_same_quantity(a: Answer, b: Answer) -> bool | None:
    """Whether two numbers with units are the same; None where a unit is not known, or not one of ours.

    Units of one family are converted where that is exact: weeks to seconds, kilometres to millimetres, tonnes
    to grams. Amounts of different currencies, and units of different families, are never the same. Units with exponents
    are told apart, and not converted.
    """
    if not a.unit or not b.unit:
        return None
    currencies = {currency_by_word().get(respelled(x.unit)) for x in (a, b) if x.unit}
    if len(currencies - {None}) > 1:
        return False
    units_a, units_b = _sizes(a.unit), _sizes(b.unit)
    if not units_a or not units_b:
        return None
    shared = units_a.keys() & units_b.keys()
    if not shared:
        return False
    if _HAS_EXPONENT.search(a.text) or _HAS_EXPONENT.search(b.text):
        is_one_unit = any(units_a[family] == units_b[family] for family in shared)
        return None if is_one_unit else False
    return any(not _in(a, units_a[family]).isdisjoint(_in(b, units_b[family])) for family in shared)


@cache
def _sizes(unit: str) -> Mapping[str, int]:
    """Family → how many of its smallest unit one of these is."""
    word = respelled(unit)
    found = {family: prod(ratios(family)[place:]) for family, place in places_by_unit().get(word, ())}
    found |= measures_by_unit().get(word, {})
    if not found and word in currency_by_word():
        return {_MONEY: prod(ratios(_MONEY))}
    return found


def _in(answer: Answer, size: int) -> set[Fraction]:
    """What the answer may be in the smallest unit; a quantity in parts has its value in the larger unit first."""
    readings = answer.readings[:1] if answer.is_in_parts else answer.readings
    return {Fraction(reading) * size for reading in readings if _NUMBER.fullmatch(reading)}


_NUMBER = regex.compile(r"-?[0-9]+(?:[./][0-9]+)?")
