"""Numbers as people write them in digits, to exact fractions. Pure, linear, total.

The text must be `normalised`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import Final, NamedTuple

import regex

from nbest.text import cjk
from nbest.text.answer_words import Convention
from nbest.text.digits import MAX_DIGITS, readings
from nbest.text.normalise import folded
from nbest.text.number import Number, as_share, distinct

MAX_EXPONENT: Final = 400
_LIMIT: Final = 10**MAX_DIGITS
_SMALL: Final = 100
"""A larger number is not raised to a power."""
_MAX_REMEMBERED_CHARS: Final = 200
_MAX_JOINED_DIGITS: Final = 9
_MAX_BEFORE: Final = 9
"""How many characters of a number stand before its first digit at most: `-US$ %-.5`."""

_SEPARATORS = r"(?:[.,'’_٬٫][0-9]+)*"
_NUMBER = (
    r"(?<![0-9\p{Lu}\p{Ll}^_]|[0-9][.,:'/]|[\p{Lu}\p{Ll}]-)"
    r"(?P<sign>(?<![0-9\p{L})\]}%])[-–+])?(?P<currency>(?:\b[A-Z]{1,2})?\p{Sc}\s?)?(?P<percent>%\s?)?(?P<sign2>(?<=[\p{Sc}%]\s?)-)?"
    r"(?P<numeral>\.[0-9]+|DIGITS" + _SEPARATORS + ")"
)
_PLAIN = regex.compile(_NUMBER.replace("DIGITS", "[0-9]+"))
"""Without spaces that group thousands."""
_WITH_SPACES = regex.compile(_NUMBER.replace("DIGITS", r"(?:[0-9]{1,3}(?:\ [0-9]{3})+(?![0-9])|[0-9]+)"))

_FRACTION = regex.compile(r"\s?/\s?([0-9]{1,50})(?![0-9])(?![.,][0-9])")
_MIXED = regex.compile(r"\s([0-9]{1,4})/([0-9]{1,4})(?![0-9])")
_EXPONENT = regex.compile(r"[eE]([+-]?[0-9]{1,4})(?![0-9\p{L}])")
_SCIENTIFIC = regex.compile(r"\s?[x×*·⋅]\s?10\s?\^\s?[{(]?([+-]?[0-9]{1,4})[)}]?(?![0-9])")
_POWER = regex.compile(r"\s?\^\s?[{(]?([+-]?[0-9]{1,4})[)}]?(?![0-9])")
_SIGN_AFTER = regex.compile(r"\s?([%‰])|\s?(\p{Sc})")
_BROKEN = regex.compile(r"[/:][0-9]|[.,][0-9]")
_DIGIT = re.compile(r"[0-9]")
_MAY_PRECEDE = regex.compile(r"[-–+.%\p{Sc}]")
_GOES_ON = re.compile(r"\s?[0-9eE/x×*·⋅^]")
"""How a fraction, an exponent or a power begins."""


class _Read(NamedTuple):
    """What was read of a number so far, and where that ends."""

    values: tuple[Fraction, ...]
    end: int


def numbers_in(text: str, convention: Convention, *, start: int = 0) -> Iterator[Number]:
    """Every number of `text` from left to right; dates, times, versions and lists are none.

    Remembers those of short texts: several readers ask for the same.
    """
    if start == 0 and len(text) <= _MAX_REMEMBERED_CHARS:
        return iter(_remembered(text, convention))
    return _numbers(text, convention, start)


@lru_cache(maxsize=1 << 11)
def _remembered(text: str, convention: Convention) -> tuple[Number, ...]:
    return tuple(_numbers(text, convention, 0))


def _numbers(text: str, convention: Convention, start: int) -> Iterator[Number]:
    while True:
        digit = _DIGIT.search(text, start)
        begin = max(start, digit.start() - _num_before(text, digit.start())) if digit else len(text)
        match = _WITH_SPACES.search(text, begin)
        if digit is None or match is None:
            return
        number = cjk.followed_by_unit(match) or _number(match, convention)
        start = match.end()
        if number:
            start = max(start, number.end)
            yield number


def _num_before(text: str, digit: int) -> int:
    """How many characters of a number may stand before its first digit."""
    last = text[digit - 1 : digit]
    if last.isspace():
        last = text[digit - 2 : digit - 1]
    return _MAX_BEFORE if _MAY_PRECEDE.match(last) else 0


def number_at_start(text: str, convention: Convention) -> Number | None:
    """The number that `text` begins with."""
    match = _WITH_SPACES.match(text)
    if match:
        return cjk.followed_by_unit(match) or _number(match, convention)
    return cjk.number_at_start(text)


def _number(match: regex.Match[str], convention: Convention) -> Number | None:
    text = match.string
    read = _Read(readings(match["numeral"], convention), match.end())
    if not read.values:
        return None
    values, end = _scaled(text, _extended(text, read), convention)
    if any(abs(v.numerator) > _LIMIT for v in values) or _BROKEN.match(text, end):
        return None

    sign = (match["sign"] or "").replace("–", "-")
    if sign == "-" or match["sign2"]:
        values = tuple(-v for v in values)
    unit, end = _unit(match, end)
    return Number(as_share(values, unit), match.start(), end, unit)


def _unit(match: regex.Match[str], end: int) -> tuple[str | None, int]:
    """The sign of a currency or a share, before or behind a number, and where that ends."""
    unit = (match["currency"] or "").strip() or None
    after = _SIGN_AFTER.match(match.string, end)
    if after and not (unit and after[2]):
        return after[1] or after[2], after.end()
    return ("%" if match["percent"] else unit), end


def _extended(text: str, read: _Read) -> _Read:
    """`3/4`, `1 1/2`, `1.5e3`, `1.5×10^3`, `2^10`."""
    if not _GOES_ON.match(text, read.end):
        return read
    for extend in _EXTENSIONS:
        extended = extend(text, read)
        if extended:
            return extended
    return read


def _divided(text: str, read: _Read) -> _Read | None:
    match = _FRACTION.match(text, read.end)
    if match is None or not int(match[1]):
        return None
    return _Read(tuple(v / int(match[1]) for v in read.values), match.end())


def _mixed(text: str, read: _Read) -> _Read | None:
    match = _MIXED.match(text, read.end)
    if match is None or not int(match[2]) or read.values[0].denominator != 1:
        return None
    part = Fraction(int(match[1]), int(match[2]))
    return _Read(tuple(v + part for v in read.values), match.end())


def _scientific(text: str, read: _Read) -> _Read | None:
    match = _EXPONENT.match(text, read.end) or _SCIENTIFIC.match(text, read.end)
    if match is None or abs(int(match[1])) > MAX_EXPONENT:
        return None
    factor = Fraction(10) ** int(match[1])
    return _Read(tuple(v * factor for v in read.values), match.end())


def _power(text: str, read: _Read) -> _Read | None:
    match = _POWER.match(text, read.end)
    base = read.values[0]
    is_small = 0 < base.numerator <= _SMALL and base.denominator <= _SMALL
    if match is None or abs(int(match[1])) > MAX_EXPONENT or not is_small:
        return None
    return _Read(tuple(v ** int(match[1]) for v in read.values), match.end())


_EXTENSIONS: Final[tuple[Callable[[str, _Read], _Read | None], ...]] = (_divided, _mixed, _scientific, _power)

_SCALE_BY_LETTER: Final = {
    "k": 10**3,
    "K": 10**3,
    "M": 10**6,
    "B": 10**9,
    "bn": 10**9,
    "mn": 10**6,
    "mln": 10**6,
}
_SCALE_LETTER = regex.compile(rf"({'|'.join(_SCALE_BY_LETTER)})(?![\p{{L}}\p{{M}}/])")
_ENDS_IN_HANGUL = regex.compile(r"\p{Hangul}\s*$")


def _scaled(text: str, read: _Read, convention: Convention, *, parts: int = 4) -> _Read:
    """`3 million`, `5k`, `3만 5천`, `2 lakh 50 thousand`: at most `parts` numbers with their words."""
    letter = _SCALE_LETTER.match(text, read.end)
    if letter:
        factor = _SCALE_BY_LETTER[letter[1]]
        return _Read(tuple(v * factor for v in read.values), letter.end())
    match = convention.scale.match(text, read.end)
    if match is None:
        return read

    scales = convention.scales.get(folded(match[0]), (1,))
    values = distinct(v * s for s, v in product(scales, read.values))
    rest = _rest(match, convention, parts) if parts > 1 and len(values) == 1 else None
    if rest and len(rest.values) == 1 and rest.values[0] < scales[0]:
        return _Read((values[0] + rest.values[0],), rest.end)
    return _Read(values, match.end())


def _rest(scale: regex.Match[str], convention: Convention, parts: int) -> _Read | None:
    """The smaller number behind a scale, where the two are one: `5천` in `3만 5천`."""
    text, end = scale.string, scale.end()
    space = text[end : end + 1].count(" ")
    more = _PLAIN.match(text, end + space)
    if more is None or more["sign"] or len(more["numeral"]) > _MAX_JOINED_DIGITS:
        return None
    few = _Read(readings(more["numeral"], convention), more.end())
    rest = _scaled(text, few, convention, parts=parts - 1)
    is_joined = rest.end > few.end or _ENDS_IN_HANGUL.search(scale[0]) is not None
    return rest if is_joined else None
