"""Reads a span that is a whole answer: choice, verdict, date, number, mathematics or words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import Final

import regex

from nbest.text import cjk
from nbest.text.answer import Answer
from nbest.text.answer_words import Convention, choice_readings, convention, currency_words
from nbest.text.normalise import bare, folded, normalised, plain_latex
from nbest.text.number import Number, as_share, number_key
from nbest.text.numerals import number_at_start, numbers_in

MAX_TEXT_CHARS: Final = 500
"""A longer span is no final answer in words."""
_TAIL_CHARS: Final = 60
"""How far before the last digit a line is read first: further than a number or a date reaches."""
_MAX_UNIT_CHARS = 40
_MAX_UNIT_WORDS = 4

_CHOICE = regex.compile(
    r"(?:[(\[（【]\s?(?P<a>[^\s()\[\]]{1,3})\s?[)\]）】]|(?P<b>[^\s()\[\].,:]{1,3}?)(?P<c>[.):、،。])?)(?:[\s,;،]|$)"
)
_YMD = regex.compile(r"(?<![0-9])([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})(?![-/.]?[0-9])")
_DMY = regex.compile(r"(?<![0-9])([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})(?![-/.]?[0-9])")
_HAN = regex.compile(r"([0-9]{4})\s?[年년]\s?([0-9]{1,2})\s?[月월](?:\s?([0-9]{1,2})\s?[日일])?")
_WORDED = regex.compile(
    r"(?<![0-9])[0-3]?[0-9](?:\.|er|º|ª)?\s(?:de\s|of\s)?\p{L}[\p{L}\p{M}]{2,15}\.?,?\s(?:de[l]?\s)?[12][0-9]{3}(?![0-9])"
    r"|(?<!\p{L})\p{L}[\p{L}\p{M}]{2,15}\.?\s[0-3]?[0-9](?:st|nd|rd|th)?,\s[12][0-9]{3}(?![0-9])"
)
_YEAR = re.compile(r"[0-9]{4}")
"""Without it there is no date."""
_EQUATION = regex.compile(r"^[^=]{0,200}=(?![^=]*=)\s*")
_LAST_EQUAL = regex.compile(r"^.*[=≈→]\s*", regex.DOTALL)
_MATHS = regex.compile(
    r"\\\p{L}|[=^√π∞∑∫]|[\p{L}\p{N})]\s?[+*/·×]\s?[\p{L}\p{N}(\\]|^[(\[].*,.*[)\]]$|\{.*\}"
)
_WORD = regex.compile(
    r"(?<![\\\p{L}])(?!(?:sin|cos|tan|log|ln|exp|max|min|gcd|lcm|mod)(?!\p{L}))\p{L}[\p{L}\p{M}]+|[^\P{L}\p{Latin}\p{Greek}]"
)
_CLAUSE_END = regex.compile(r"[,.;:!。、،؛।]")
_EXPONENTS = regex.compile(r"\^\{?-?[0-9]\}?")
_NO_UNIT = regex.compile(r"[0-9=<>+*,;:\\(\[](?!\p{L}+[)\]]$)")
_SPACES_AND_DOLLARS = regex.compile(r"\s+|\$")
_EDGES = regex.compile(r"^[\p{P}\s]+|(?<![\p{P}\s])[\p{P}\s]+$")
_APPROXIMATELY = "≈~≃ "


def read(span: str, language: str | None = None) -> Answer | None:
    """The answer that `span` as a whole is; None for an empty one. Never raises."""
    return read_normalised(normalised(span), convention(language))


def read_normalised(span: str, conv: Convention) -> Answer | None:
    """`read` for text that is normalised already."""
    clean = bare(span)
    if not any(c.isalnum() for c in clean):
        return None
    return clean_reading(clean, conv) or _words(clean)


def clean_reading(clean: str, conv: Convention) -> Answer | None:
    """`clean` as anything but words; None where it is none of these. Remembers short ones, which pools repeat."""
    return (_remembered if len(clean) <= _MAX_UNIT_CHARS else _reading)(clean, conv)


def _reading(clean: str, conv: Convention) -> Answer | None:
    plain = bare(plain_latex(clean))
    readers: tuple[Callable[[str, Convention], Answer | None], ...] = (_choice, _verdict, _quantity)
    if answer := _date(plain):
        return answer
    for reader in readers:
        if answer := reader(plain, conv):
            return answer
    if (m := _EQUATION.match(plain)) and (answer := _quantity(bare(plain[m.end() :]), conv)):
        return answer
    return _expression(clean, plain)


_remembered = lru_cache(maxsize=1 << 14)(_reading)


def last_number(line: str, conv: Convention) -> Answer | None:
    """The last number of a line, dates left out; a CJK numeral only where there are no digits."""
    line = plain_latex(line)
    begin = max(map(line.rfind, "0123456789")) - _TAIL_CHARS
    found = _last(line, conv, begin) if begin > 0 else None
    if found is None or found.start < begin + _TAIL_CHARS // 2:  # none there, or one that may begin before
        found = _last(line, conv, 0)
    if found is None:
        return None
    after = line[found.end : found.end + _MAX_UNIT_CHARS]
    share = conv.percent.match(after)
    unit = "%" if share else found.unit if found.unit != "$" or after[:1] != "$" else None
    return _number_answer(line[found.start : found.end], found, unit, is_share=bool(share))


def _last(line: str, conv: Convention, begin: int) -> Number | None:
    patterns = (_YMD, _DMY, _HAN, _WORDED) if _YEAR.search(line, begin) else ()
    dates = [m.span() for pattern in patterns for m in pattern.finditer(line, begin)]
    found = None
    for number in numbers_in(line, conv, start=begin):
        if not any(start <= number.start < end for start, end in dates):
            found = number
    return found or (None if dates or begin else cjk.last_in(line))


def text_key(text: str) -> str:
    """Words for comparison: NFKC, case-folded, single spaces, no punctuation around."""
    key = folded(bare(normalised(text)))
    if key[:1].isalnum() and key[-1].isalnum():
        return key
    return _EDGES.sub("", key).strip() or key


def _words(clean: str) -> Answer | None:
    return (
        Answer(text=clean, kind="text", readings=(text_key(clean),)) if len(clean) <= MAX_TEXT_CHARS else None
    )


def _choice(span: str, conv: Convention) -> Answer | None:
    """`B`, `(b)`, `B. Paris`, `Option ب`: a letter that stands alone or before its punctuation."""
    option = conv.options.match(span)
    span = span[option.end() :].strip() if option else span
    span = span.lstrip(":：") if option else span
    match = _CHOICE.match(span.strip() if option else span)
    if not match:
        return None
    is_whole = match.end() >= len(span)
    is_listed = not option and match[0][-1] in ",;،"  # "(a), (b)" is no choice
    if is_listed or not (is_whole or match["a"] or match["c"]):
        return None
    letter = (match["a"] or match["b"]).upper()
    readings = choice_readings().get(letter)
    return Answer(text=span, kind="choice", readings=readings) if readings else None


def _verdict(span: str, conv: Convention) -> Answer | None:
    """A word for yes or no, alone or before a comma or full stop."""
    end = _CLAUSE_END.search(span, 0, _MAX_UNIT_CHARS + 1)
    word = span[: end.start()] if end else span
    if len(word) > _MAX_UNIT_CHARS:
        return None
    verdict = conv.verdicts.get(text_key(word))
    return Answer(text=span, kind="verdict", readings=(verdict,)) if verdict else None


def _date(span: str) -> Answer | None:
    """A date that is the whole span; 5/3/2024 has two readings."""
    if not _YEAR.search(span):
        return None
    orders: list[tuple[str | None, str | None, str | None]] = []
    if m := _YMD.fullmatch(span):
        orders = [(m[1], m[3], m[4])]
    elif m := _DMY.fullmatch(span):
        orders = [(m[4], m[3], m[1]), (m[4], m[1], m[3])]
    elif m := _HAN.fullmatch(span):
        orders = [(m[1], m[2], m[3])]
    readings = tuple(dict.fromkeys(r for o in orders if (r := _iso(*o))))
    if readings:
        return Answer(text=span, kind="date", readings=readings)
    return Answer(text=span, kind="date", readings=(text_key(span),)) if _WORDED.fullmatch(span) else None


def _iso(year: str | None, month: str | None, day: str | None) -> str | None:
    try:
        made = date(int(year or 0), int(month or 0), int(day or 1))
    except ValueError:
        return None
    return made.isoformat() if day else made.isoformat()[:7]


def _quantity(span: str, conv: Convention) -> Answer | None:
    """A number with at most a currency before it and a unit behind it."""
    rest, share = _without(conv.percent, span.lstrip(_APPROXIMATELY))
    rest, minus = _without(conv.minus, rest)
    rest, currency = _without(currency_words(), rest)
    number = number_at_start(rest, conv)
    if number is None or (minus and any(v < 0 for v in number.values)):
        return None
    after, share_after = _without(conv.percent, rest[number.end :])
    unit = _unit(after, conv)
    if unit is None:
        return None
    if minus:
        number = replace(number, values=tuple(-v for v in number.values))
    is_share = bool(share or share_after)
    unit = "%" if is_share else number.unit or currency or unit or None
    return _number_answer(span, number, unit, is_share=is_share)


def _without(pattern: regex.Pattern[str], text: str) -> tuple[str, str | None]:
    match = pattern.match(text)
    return (text[match.end() :].lstrip(), match[0].strip()) if match else (text, None)


def _unit(after: str, conv: Convention) -> str | None:
    """What follows a number, if that is a unit: few words, no digits but exponents; None if it is more."""
    after = _EXPONENTS.sub("", after).strip(" .,;:-–'*")
    if len(after) > _MAX_UNIT_CHARS or len(after.split()) > _MAX_UNIT_WORDS:
        return None
    if _NO_UNIT.search(after):
        return None
    tail = max((t for t in conv.tails if after.endswith(t)), key=len, default="")
    return after.removesuffix(tail).strip(" '")


def _number_answer(text: str, number: Number, unit: str | None, *, is_share: bool) -> Answer:
    values: tuple[Fraction, ...] = as_share(number.values, "%") if is_share else number.values
    return Answer(text=text.strip(), kind="number", readings=tuple(map(number_key, values)), unit=unit)


def _expression(clean: str, plain: str) -> Answer | None:
    """Mathematics beyond a number: commands, operators or equations, and no sentence around them."""
    if len(plain) > MAX_TEXT_CHARS or _WORD.search(plain) or not _MATHS.search(plain):
        return None
    return Answer(text=clean, kind="expression", readings=(_SPACES_AND_DOLLARS.sub("", plain),))
