"""What `quantity_words.toml` says, ready for use."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import regex

from nbest.text.spelling import respelled


@cache
def _data() -> Mapping[str, Any]:
    text = files("nbest.text").joinpath("quantity_words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def places_by_unit() -> Mapping[str, tuple[tuple[str, int], ...]]:
    """Unit → (family, place in it) for each family it is of; 0 is the family's largest."""
    places: dict[str, list[tuple[str, int]]] = {}
    for family in _data()["family"]:
        for place, unit in enumerate(family["units"]):
            for word in unit["words"]:
                places.setdefault(respelled(word), []).append((family["name"], place))
    return {word: tuple(found) for word, found in places.items()}


@cache
def ratios(family: str) -> tuple[int, ...]:
    """How many of the next unit each unit of a family is."""
    found = next(f for f in _data()["family"] if f["name"] == family)
    return tuple(int(unit["per"]) for unit in found["units"])


@cache
def is_money(unit: str) -> bool:
    """Whether a word or sign, as written, is a unit of money."""
    families = {family for family, _ in places_by_unit().get(respelled(unit), ())}
    return bool(families & {"money", "yuan"})


@cache
def words(table: str, field: str) -> frozenset[str]:
    """The words of a list of the file, in one spelling."""
    return frozenset(respelled(word) for word in _data()[table][field])


def _both(table: str, field: str) -> frozenset[str]:
    """The words of a list as written and in one spelling."""
    return words(table, field) | frozenset(_data()[table][field])


@cache
def at_start(table: str, field: str) -> regex.Pattern[str]:
    """Any of a list's words at the start of a respelled text, whole where its script puts spaces between words."""
    return regex.compile(rf"(?:{_any_of(_both(table, field))})\s*", regex.IGNORECASE)


@cache
def at_end(table: str, field: str) -> regex.Pattern[str]:
    """Any of a list's words at the end of a respelled text."""
    return regex.compile(rf"\s*(?:{_any_of(words(table, field))})$")


@cache
def anywhere(table: str, field: str) -> regex.Pattern[str]:
    """Any of a list's words in a respelled text."""
    return regex.compile(_any_of(words(table, field)))


@cache
def unit_at_start() -> regex.Pattern[str]:
    """A unit of any family, at the start of a respelled text."""
    return regex.compile(rf"\s*(?:de\s)?-?(?P<unit>{_any_of(places_by_unit())})")


@cache
def month_by_name() -> Mapping[str, int]:
    """Month, in one spelling → 1 … 12."""
    return {respelled(m): i for months in _data()["months"].values() for i, m in enumerate(months, 1)}


@cache
def persian_month_by_name() -> Mapping[str, int]:
    """Month of the Persian calendar → 1 … 12."""
    return {respelled(m): i for i, m in enumerate(_data()["persian_months"]["fa"], 1)}


@cache
def year_before_era() -> Mapping[str, int]:
    """Era → the Gregorian year before its first."""
    return {respelled(era): year for era, year in _data()["eras"].items()}


_JOINING = (
    ("between", "and"),
    ("between", "or"),
    ("between", "range"),
    ("between", "from"),
    ("between", "remainder"),
)
_AROUND = (("half", "words"), ("sign", "below_zero"), ("sign", "above_zero"), ("sign", "about"))
_OF_DAY = (
    ("half_day", "am"),
    ("half_day", "pm"),
    ("half_day", "clock"),
    ("half_day", "hour"),
    ("between", "copula"),
)


@cache
def quantity_words(others: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Every word that may stand in a quantity, and `others`, as written and respelled.

    First those of scripts that put spaces between words, then those of scripts that do not.
    """
    found = set(others)
    found |= {
        w
        for table, field in (*_JOINING, *_AROUND, *_OF_DAY, ("bound", "words"))
        for w in _data()[table][field]
    }
    found |= {w for family in _data()["family"] for unit in family["units"] for w in unit["words"]}
    found |= {m for months in _data()["months"].values() for m in months} | set(
        _data()["persian_months"]["fa"]
    )
    found |= set(_data()["eras"])
    found = {w for w in found | set(map(respelled, found)) if w[:1].isalpha()}
    spaced = frozenset(w for w in found if _ENDS_IN_LETTER.search(w.rstrip(".'")))
    return spaced, frozenset(found - spaced)


_LETTERS = r"[\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}\p{Telugu}]"
_ENDS_IN_LETTER = regex.compile(rf"{_LETTERS}\p{{M}}*$")
_BEGINS_WITH_LETTER = regex.compile(_LETTERS)


def _any_of(given: Iterable[str]) -> str:
    longest_first = sorted(given, key=lambda w: (-len(w), w))
    return "|".join(map(_whole, longest_first))


def _whole(word: str) -> str:
    """`word`, and no part of a longer one where its script puts spaces between words."""
    before = r"(?<![\p{L}\p{M}])" if _BEGINS_WITH_LETTER.match(word) else ""
    after = r"(?![\p{L}\p{M}])" if _ENDS_IN_LETTER.search(word) else ""
    return before + regex.escape(word) + after
