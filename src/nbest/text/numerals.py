"""Numbers as people write them, to exact fractions. Pure, linear, total.

The text must be `normalised`. Where a numeral may mean two numbers (`1.234`), both are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Final

import regex

from nbest.text import cjk
from nbest.text.answer_words import Convention
from nbest.text.normalise import folded
from nbest.text.number import Number, as_share, distinct

MAX_DIGITS: Final = 1000
"""A longer numeral is no number."""
MAX_EXPONENT: Final = 400
_LIMIT: Final = 10**MAX_DIGITS


_SEPARATORS = r"(?:[.,'’_٬٫][0-9]+)*"
_NUMBER = (
    r"(?<![0-9\p{Lu}\p{Ll}^_]|[0-9][.,:'/]|[\p{Lu}\p{Ll}]-)"
    r"(?P<sign>(?<![0-9\p{L})\]}%])[-–+])?(?P<currency>(?:\b[A-Z]{1,2})?\p{Sc}\s?)?(?P<percent>%\s?)?(?P<sign2>-)?"
    r"(?P<numeral>\.[0-9]+|DIGITS" + _SEPARATORS + ")"
)
_PLAIN = regex.compile(_NUMBER.replace("DIGITS", "[0-9]+"))
_SPACED = regex.compile(_NUMBER.replace("DIGITS", r"(?:[0-9]{1,3}(?:\ [0-9]{3})+(?![0-9])|[0-9]+)"))

_FRACTION = regex.compile(r"\s?/\s?([0-9]{1,50})(?![0-9])(?![.,][0-9])")
_MIXED = regex.compile(r"\s([0-9]{1,4})/([0-9]{1,4})(?![0-9])")
_EXPONENT = regex.compile(r"[eE]([+-]?[0-9]{1,4})(?![0-9\p{L}])")
_SCIENTIFIC = regex.compile(r"\s?[x×*·⋅]\s?10\s?\^\s?[{(]?([+-]?[0-9]{1,4})[)}]?(?![0-9])")
_POWER = regex.compile(r"\s?\^\s?[{(]?([+-]?[0-9]{1,4})[)}]?(?![0-9])")
_SIGN_AFTER = regex.compile(r"\s?([%‰])|\s?(\p{Sc})")
_BROKEN = regex.compile(r"[/:][0-9]|[.,][0-9]")
_NO_MARK = regex.compile(r"[^0-9]")
_DIGIT = re.compile(r"[0-9]")
_MAY_PRECEDE = regex.compile(r"[-–+.%\p{Sc}]")
_GOES_ON = re.compile(r"\s?[0-9eE/x×*·⋅^]")
"""How a fraction, an exponent or a power begins."""


def numbers_in(text: str, convention: Convention, *, start: int = 0) -> Iterator[Number]:
    """Every number of `text` from left to right; dates, times, versions and lists are none."""
    pattern = _SPACED if convention.groups_with_spaces else _PLAIN
    while (digit := _DIGIT.search(text, start)) and (
        match := pattern.search(text, max(start, digit.start() - _most_before(text, digit.start())))
    ):
        number = cjk.followed_by_unit(match) or _number(match, convention)
        start = max(match.end(), number.end if number else 0)
        if number:
            yield number


def _most_before(text: str, digit: int) -> int:
    """How many characters of a number may stand before its first digit: `-US$ %-.5` has the most."""
    last = text[digit - 1 : digit]
    if last.isspace():
        last = text[digit - 2 : digit - 1]
    return 9 if _MAY_PRECEDE.match(last) else 0


def number_at_start(text: str, convention: Convention) -> Number | None:
    """The number that `text` begins with."""
    pattern = _SPACED if convention.groups_with_spaces else _PLAIN
    match = pattern.match(text)
    if match:
        return cjk.followed_by_unit(match) or _number(match, convention)
    return cjk.number_at_start(text)


def _number(match: regex.Match[str], convention: Convention) -> Number | None:
    text, end = match.string, match.end()
    values = readings(match["numeral"], convention)
    if not values:
        return None
    values, end = _extended(text, end, values)
    values, end = _scaled(text, end, values, convention)
    if any(abs(v.numerator) > _LIMIT for v in values) or _BROKEN.match(text, end):
        return None
    if "-" in (match["sign"] or "").replace("–", "-") or match["sign2"]:
        values = tuple(-v for v in values)
    unit = match["currency"].strip() if match["currency"] else None
    if (after := _SIGN_AFTER.match(text, end)) and not (unit and after[2]):
        unit, end = after[1] or after[2], after.end()
    elif match["percent"]:
        unit = "%"
    return Number(as_share(values, unit), match.start(), end, unit)


def readings(numeral: str, convention: Convention) -> tuple[Fraction, ...]:
    """What digits with separators may mean, likeliest first; nothing where they mean no number.

    A lone mark before three digits (`1.234`) is a decimal mark or groups thousands, as the language
    has it; both where the language is not known or has both, and where a decimal reading would end in 000.
    """
    if len(numeral) > MAX_DIGITS:
        return ()
    if numeral.isdigit():
        return (Fraction(int(numeral)),)
    if convention.code in _GROUP_BY_FOUR and _BY_FOUR.fullmatch(numeral):
        return (
            (Fraction(int(numeral.replace(",", ""))), Fraction(numeral.replace(",", ".", 1)))
            if numeral.count(",") == 1
            else (Fraction(int(numeral.replace(",", ""))),)
        )
    marks = set(_NO_MARK.findall(numeral))
    whole = _grouped(numeral) if len(marks) <= 1 and "٫" not in marks else None
    decimal, mark = _decimal(numeral)
    if whole is None or decimal is None:
        return tuple(v for v in (whole, decimal) if v is not None)
    if mark not in {".", ","}:  # no decimal mark, whatever the language
        return (whole,)
    first = [decimal, whole] if mark == (convention.decimals or ".")[0] else [whole, decimal]
    settled = len(convention.decimals) == 1 and not (first[0] == decimal and numeral.endswith("000"))
    return distinct(first[:1] if settled else first)


_GROUP_BY_FOUR: Final = frozenset({"zh", "ja", "ko"})
_BY_FOUR = regex.compile(r"[1-9][0-9]{0,3}(?:,[0-9]{4})+")


def _grouped(numeral: str) -> Fraction | None:
    """All marks as groups of three, or as lakh and crore (1,23,456)."""
    head, *groups = _NO_MARK.split(numeral)
    if not groups:
        return Fraction(int(head)) if head else None
    by_three = len(head) <= 3 and all(len(g) == 3 for g in groups)  # noqa: PLR2004
    by_two = len(head) <= 2 and len(groups[-1]) == 3 and all(len(g) == 2 for g in groups[:-1])  # noqa: PLR2004
    if not head or head.startswith("0") or not (by_three or by_two):
        return None
    return Fraction(int("".join([head, *groups])))


def _decimal(numeral: str) -> tuple[Fraction | None, str]:
    """The last mark as the decimal mark, the others as groups of one kind."""
    mark = next((c for c in reversed(numeral) if not c.isdigit()), "")
    if mark not in {".", ",", "٫"}:
        return None, mark
    head, tail = numeral.rsplit(mark, 1)
    other = set(_NO_MARK.findall(head))
    whole = _grouped(head or "0") if mark not in other and len(other) <= 1 else None
    if whole is None and head.strip("0") == "" and head:
        whole = Fraction(0)
    return (None, mark) if whole is None else (whole + Fraction(int(tail), 10 ** len(tail)), mark)


def _extended(text: str, end: int, values: tuple[Fraction, ...]) -> tuple[tuple[Fraction, ...], int]:
    """`3/4`, `1 1/2`, `1.5e3`, `1.5×10^3`, `2^10`."""
    if not _GOES_ON.match(text, end):
        return values, end
    if (m := _FRACTION.match(text, end)) and int(m[1]):
        return tuple(v / int(m[1]) for v in values), m.end()
    if (m := _MIXED.match(text, end)) and int(m[2]) and values[0].denominator == 1:
        return tuple(v + Fraction(int(m[1]), int(m[2])) for v in values), m.end()
    if (m := _EXPONENT.match(text, end) or _SCIENTIFIC.match(text, end)) and abs(int(m[1])) <= MAX_EXPONENT:
        return tuple(v * Fraction(10) ** int(m[1]) for v in values), m.end()
    if (m := _POWER.match(text, end)) and abs(int(m[1])) <= MAX_EXPONENT and _is_small(values[0]):
        return tuple(v ** int(m[1]) for v in values), m.end()
    return values, end


def _is_small(value: Fraction) -> bool:
    return 0 < value.numerator <= 100 and value.denominator <= 100  # noqa: PLR2004


_SCALE_BY_LETTER: Final = {
    "k": 10**3,
    "K": 10**3,
    "M": 10**6,
    "B": 10**9,
    "bn": 10**9,
    "mn": 10**6,
    "mln": 10**6,
}
_SCALE_LETTER = regex.compile(r"(k|K|M|B|bn|mn|mln)(?![\p{L}\p{M}/])")


def _scaled(
    text: str, end: int, values: tuple[Fraction, ...], convention: Convention, *, parts: int = 4
) -> tuple[tuple[Fraction, ...], int]:
    """`3 million`, `5k`, `3만 5천`, `2 lakh 50 thousand`: at most `parts` numbers with their words."""
    if letter := _SCALE_LETTER.match(text, end):
        return tuple(v * _SCALE_BY_LETTER[letter[1]] for v in values), letter.end()
    match = convention.scale.match(text, end)
    if not match:
        return values, end
    scales = convention.scales.get(folded(match[0]), (1,))
    values = distinct(v * s for s, v in product(scales, values))
    more = _PLAIN.match(text, match.end() + text[match.end() : match.end() + 1].count(" "))
    if parts > 1 and more and not more["sign"] and len(values) == 1 and len(more["numeral"]) <= 9:  # noqa: PLR2004
        few = readings(more["numeral"], convention)
        rest, rest_end = _scaled(text, more.end(), few, convention, parts=parts - 1)
        is_joined = rest_end > more.end() or regex.search(r"\p{Hangul}\s*$", match[0])
        if is_joined and len(rest) == 1 and rest[0] < scales[0]:
            return (values[0] + rest[0],), rest_end
    return values, match.end()
