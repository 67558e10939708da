"""Numbers in words: forty-two, quarante-deux, zweiundvierzig, สี่สิบสอง."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any, Final

import regex

from nbest.text.number import Number
from nbest.text.quantity_words import places_by_unit
from nbest.text.spelling import respelled

_MAX_CHARS: Final = 100
_MIN_SCALE_OF_SECTIONS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Vocabulary:
    words: Mapping[str, int]
    scales: Mapping[str, int]
    token: regex.Pattern[str]
    """A word of either kind, or one that joins them; longer ones first."""


def number_in_words(text: str, language: str | None) -> Number | None:
    """The number that `text` is in words of `language`, else of English: with a unit behind it at most.

    None for anything else: "One Direction" is no number.
    """
    if len(text) > _MAX_CHARS or any(c.isdigit() for c in text):
        return None
    key = respelled(text)
    for code in dict.fromkeys((language or "en", "en")):
        vocabulary = _vocabulary(code)
        if vocabulary and (found := _value(key, vocabulary)):
            value, end = found
            rest = key[end:].strip(" .")
            if not rest or rest in places_by_unit():
                return Number((Fraction(value),), 0, len(text))
    return None


def _value(key: str, vocabulary: _Vocabulary) -> tuple[int, int] | None:
    """What the words at the start of `key` mean, and where they end."""
    total = section = pending = 0
    end = num_words = 0
    while match := vocabulary.token.match(key, end):
        word, end = match["word"], match.end()
        if word in vocabulary.words:
            pending += vocabulary.words[word]
        elif word in vocabulary.scales:
            scale = vocabulary.scales[word]
            if scale < _MIN_SCALE_OF_SECTIONS:
                section, pending = section + max(pending, 1) * scale, 0
            else:
                total, section, pending = total + max(section + pending, 1) * scale, 0, 0
        else:
            continue
        num_words += 1
    is_cut = end < len(key) and key[end - 1 : end].isalpha() and key[end].isalpha()
    return None if not num_words or is_cut else (total + section + pending, end)


@cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads(files("nbest.text").joinpath("number_words.toml").read_text(encoding="utf-8"))


@cache
def _vocabulary(code: str) -> _Vocabulary | None:
    table = _data().get(code)
    if table is None:
        return None
    words = {respelled(w): v for w, v in table["words"].items()}
    scales = {respelled(w): v for w, v in table["scales"].items()}
    every = sorted([*words, *scales, *map(respelled, table.get("and", ()))], key=lambda w: (-len(w), w))
    token = regex.compile(rf"[\s-]*(?P<word>{'|'.join(map(regex.escape, every))})")
    return _Vocabulary(words=words, scales=scales, token=token)
