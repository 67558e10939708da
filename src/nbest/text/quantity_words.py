"""What `quantity_words.toml` says, ready for use."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from nbest.text.normalise import same_length_casefold
from nbest.text.phrase_index import Phrases
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
def measures_by_unit() -> Mapping[str, Mapping[str, int]]:
    """Unit that is not used in parts → family → how many of its smallest unit one of these is."""
    sizes: dict[str, dict[str, int]] = {}
    for measure in _data()["measure"]:
        for word in measure["words"]:
            sizes.setdefault(respelled(word), {})[measure["family"]] = measure["size"]
    return sizes


@cache
def currency_by_word() -> Mapping[str, str]:
    """Word or sign for a unit of money, in one spelling → its currency; words that several have are left out."""
    named = [(respelled(word), name) for name, given in _data()["currency"].items() for word in given]
    currencies: dict[str, set[str]] = {}
    for word, name in named:
        currencies.setdefault(word, set()).add(name)
    return {word: names.pop() for word, names in currencies.items() if len(names) == 1}


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
def phrases(table: str, field: str) -> Phrases:
    """The words of a list, to be found in a respelled text."""
    return Phrases(words(table, field))


@cache
def written_phrases(table: str, field: str) -> Phrases:
    """The words of a list as written and in one spelling, to be found in a case-folded text."""
    return Phrases(w for word in _both(table, field) for w in (word, same_length_casefold(word)))


@cache
def _units() -> Phrases:
    return Phrases(places_by_unit())


def unit_at_start(text: str) -> tuple[str, int] | None:
    """The unit of any family that a respelled text begins with, perhaps behind "de", and where it ends."""
    start = len(text) - len(text.lstrip())
    behind_of = start + len(_OF) if text.startswith(_OF, start) else start
    for at in (behind_of, start):
        behind_hyphen = at + text.startswith("-", at)
        for begin in (behind_hyphen, at):
            end = _units().end_at(text, begin)
            if end is not None:
                return text[begin:end], end
    return None


_OF: Final = "de "


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
def quantity_phrases(others: frozenset[str]) -> Phrases:
    """Every word that may stand in a quantity, and `others`, to be found in a case-folded text."""
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
    found |= set(map(respelled, found)) | set(map(same_length_casefold, found))
    return Phrases(w for w in found if w[:1].isalpha())
