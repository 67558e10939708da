"""Reads a span that is one number: with a sign or "about" before it, and at most a unit behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

import regex

from nbest.text import hangul
from nbest.text.answer import Answer, number_answer
from nbest.text.answer_words import Convention, currency_words
from nbest.text.normalise import folded, same_length_casefold
from nbest.text.number import Number, distinct
from nbest.text.number_words import number_in_words
from nbest.text.numerals import number_at_start
from nbest.text.quantity_words import phrases, places_by_unit, words, written_phrases
from nbest.text.spelling import respelled

_MAX_UNIT_CHARS: Final = 40
_MAX_UNIT_WORDS: Final = 4
_MAX_ABOUT: Final = 3
_DECADES_FROM: Final = 100
"""A number from here on with an s is a decade: 1990s."""

_APPROXIMATELY: Final = "≈~≃ "
_ORDINAL_BEFORE = regex.compile(r"(?:第|제)\s?(?=[0-9\p{Han}영공일이삼사오육칠팔구십])")
_NAME_OF_ORDINAL = regex.compile(r"[章节節条條页頁課课卷話集号號版次代世季期編篇장절화권]")
_ORDINAL_AFTER = regex.compile(
    r"(?:st|nd|rd|th|er|re|ère|e|ème|ième|º|ª|o|a|\.º|\.ª|-?(?:й|я|е|го|ої|ий|тя|ти|ша|та|ма)|ste|de|te|:a|:e"
    r"|番目|位|번째|ที่)\.?(?![\p{L}])"
)
_EXPONENTS = regex.compile(r"\^\{?-?[0-9]\}?")
_NO_UNIT = regex.compile(r"[0-9=<>^+*,;:\\(\[](?!\p{L}+[)\]]$)")
_GLUED = regex.compile(r"-?[\p{Latin}\p{Greek}\p{Cyrillic}]+")
_TITLE = regex.compile(r"\s+\p{Lu}[\p{Ll}’']+(?:\s+(?:of|the|and|de|to|in)?\s*\p{Lu}[\p{Ll}’']+)+")
_ONE_LETTER_UNITS: Final = frozenset("gmhslLNJWVAKCFtdkMB%тгмсчл")
_TRAILING_MINUS = regex.compile(r"\s?-\s*$")
_IS_LATIN = regex.compile(r"\p{Latin}$")
_SLASHED = regex.compile(r"([0-9]+)/([0-9]+)")
_MIXED = regex.compile(
    r"(?P<units>[0-9]{1,6})\s?(?P<and>[^0-9\s]{1,8})\s?(?P<parts>[0-9]{1,4})\s?/\s?(?P<of>[0-9]{1,4})(?P<after>[^0-9]*)"
)


def quantity_answer(span: str, conv: Convention) -> Answer | None:
    """A number with at most a currency, a sign or "about" before it and a unit behind it."""
    before = _Before(span, conv)
    number = _number_at_start(before.rest, conv)
    if number is None or (before.is_negative and any(v < 0 for v in number.values)):
        return None

    rest = before.rest
    number, after = _with_half(number, rest[number.end :])
    after, is_share = _without(conv.percent, after)
    after, has_minus = _without_minus(after, conv)
    unit = unit_behind(after, number, conv)
    if unit is None:
        return None

    factor = before.scale
    if before.is_negative or has_minus:
        factor = -factor
    values = [v * factor for v in _with_slash_decimal(number, rest, conv)]
    written = "%" if before.is_share or is_share else number.unit or before.currency or unit
    return number_answer(span, replace(number, values=distinct(values)), written or None)


def mixed_answer(span: str, conv: Convention) -> Answer | None:
    """`1 and 3/4`, `1과 3/4`."""
    match = _MIXED.fullmatch(_without_about(span))
    joints = words("between", "and") | words("between", "whole")
    if not match or respelled(match["and"]) not in joints:
        return None
    units, parts, of = (int(match[name]) for name in ("units", "parts", "of"))
    if parts >= of:
        return None
    number = Number((units + Fraction(parts, of),), 0, match.start("after"))
    unit = unit_behind(match["after"], number, conv)
    if unit is None:
        return None
    return number_answer(span, number, unit or None)


class _Before:
    """What stands before a number: a sign, a currency, a scale, an ordinal's mark."""

    def __init__(self, span: str, conv: Convention) -> None:
        rest, self.is_share = _without(conv.percent, span.lstrip(_APPROXIMATELY))
        rest, self.is_negative = _without_sign(rest, conv)
        currency = currency_words().match(rest)
        self.currency = None
        if currency:
            self.currency, rest = currency[0].strip(), rest[currency.end() :].lstrip()
        rest = _without_ordinal(rest)

        self.scale = 1
        scale = conv.scale.match(rest) if conv.code == "sw" else None  # elfu 5
        if scale:
            self.scale, rest = conv.scales[folded(scale[0])][0], rest[scale.end() :].lstrip()
        self.rest = rest


def _without_ordinal(text: str) -> str:
    """`text` without 第 before a number; nothing is left of one that names a chapter or a volume."""
    ordinal = _ORDINAL_BEFORE.match(text)
    if ordinal is None:
        return text
    rest = text[ordinal.end() :]
    return "" if _NAME_OF_ORDINAL.search(rest) else rest


def _number_at_start(text: str, conv: Convention) -> Number | None:
    return (
        hangul.fraction_at_start(text)
        or number_at_start(text, conv)
        or hangul.number_at_start(text)
        or number_in_words(text, conv.code)
    )


def _without_sign(text: str, conv: Convention) -> tuple[str, bool]:
    """`text` without "about" and words for its sign before the number, and whether these make it negative."""
    text = _without_about(text)
    rest, has_minus = _without(conv.minus, text)
    if has_minus:
        return _without_about(rest), True
    for field in ("below_zero", "above_zero"):
        without = _without_phrase("sign", field, text)
        if without:
            return without, field == "below_zero"
    return text, False


def _without_about(text: str) -> str:
    """`text` without "about", "exactly", "a total of", the article."""
    for _ in range(_MAX_ABOUT):
        without = _without_phrase("sign", "about", text)
        if not without:
            break
        text = without
    return text


def _without_phrase(table: str, field: str, text: str) -> str | None:
    """`text` behind a phrase of a list that it begins with; None where there is none."""
    end = written_phrases(table, field).end_at(same_length_casefold(text))
    return None if end is None else text[end:].lstrip()


def _without_minus(after: str, conv: Convention) -> tuple[str, bool]:
    """What stands behind a number without a minus: "5-" from right to left, "5 degrees below zero"."""
    if conv.is_right_to_left and _TRAILING_MINUS.fullmatch(after):
        return "", True
    key = respelled(after)
    without = phrases("sign", "below_zero").without_end(key)
    if without is None:
        return after, False
    return without, True


def _without(pattern: regex.Pattern[str], text: str) -> tuple[str, bool]:
    match = pattern.match(text)
    if match is None:
        return text, False
    return text[match.end() :].lstrip(), True


def _with_half(number: Number, after: str) -> tuple[Number, str]:
    """`5 horas y media`, `2时半`: half of the unit more."""
    key = respelled(after)
    half = phrases("half", "words").first(key)
    if half is None or number.values[0].denominator != 1:
        return number, after
    start, end = half
    values = tuple(v + Fraction(1, 2) for v in number.values)
    return replace(number, values=values), key[:start] + key[end:]


def _with_slash_decimal(number: Number, rest: str, conv: Convention) -> Sequence[Fraction]:
    """The values of a number; of `3/14` in Persian 3.14 as well."""
    match = _SLASHED.fullmatch(rest[: number.end].strip())
    if match is None or not conv.has_slash_decimals:
        return number.values
    return (*number.values, Fraction(int(match[1] + match[2]), 10 ** len(match[2])))


def unit_behind(after: str, number: Number, conv: Convention) -> str | None:
    """What follows a number, if that is a unit: few words, no digits but exponents; None if it is more."""
    after = _EXPONENTS.sub("", after)
    ordinal = _ORDINAL_AFTER.match(after)
    if ordinal:
        after = after[ordinal.end() :]
    elif not _may_be_glued(after, number) or (conv.code != "de" and _TITLE.match(after)):
        return None

    after = after.strip(" .,;:-–'*")
    if len(after) > _MAX_UNIT_CHARS or len(after.split()) > _MAX_UNIT_WORDS:
        return None
    if _NO_UNIT.search(after) or _is_bound(after):
        return None
    tail = max((t for t in conv.tails if after.endswith(t)), key=len, default="")
    return after.removesuffix(tail).strip(" '")


def _is_bound(after: str) -> bool:
    """Whether "or more", 以上 and the like stand behind a number."""
    key = respelled(after)
    if written_phrases("bound", "words").end_at(key) is not None:
        return True
    return phrases("bound", "words").start_at_end(key) is not None and not _IS_LATIN.search(key)


def _may_be_glued(after: str, number: Number) -> bool:
    """Whether letters that touch a number are a unit: those of 5cm are, those of 3D, 2x, 7-Eleven and 1990s are not."""
    match = _GLUED.match(after)
    if match is None:
        return True
    word = match[0]
    if word.startswith("-"):
        return False
    if len(word) > 1:
        is_word = not word[0].isupper() or word.isupper()
        return is_word or respelled(word) in places_by_unit()
    is_decade = word == "s" and abs(number.values[0]) >= _DECADES_FROM
    return word in _ONE_LETTER_UNITS and not is_decade
