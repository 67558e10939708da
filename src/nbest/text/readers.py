"""Reads a span that is a whole answer: choice, verdict, date, number, several numbers, mathematics or words."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from math import isqrt
from typing import Final

import regex

from nbest.text.answer import MAX_TEXT_CHARS, Answer, words_answer
from nbest.text.answer_words import Convention, convention
from nbest.text.choices import choice_answer
from nbest.text.dates import date_readings, time_reading
from nbest.text.normalise import bare, normalised, plain_latex
from nbest.text.number import distinct, number_key
from nbest.text.number_lists import several_reading
from nbest.text.quantities import composite_value
from nbest.text.quantity_reader import mixed_answer, quantity_answer
from nbest.text.spelling import text_key

_MAX_SHORT_CHARS: Final = 40
"""Spans up to this length are remembered: pools repeat them."""
_CLAUSE_END = regex.compile(r"[,.;:!。、،؛।—–]|\s-\s")
_EQUATION = regex.compile(r"^[^=<>≤≥≠]{0,200}=(?![^=]*=)\s*")
_PARENTHESISED = regex.compile(r"\(\s*([^(),;]{1,60})\s*\)")
_MAY_BE_DECIMAL = regex.compile(r"[0-9]+[.,][0-9]+")
_FEET_AND_INCHES = regex.compile(r"""([0-9]{1,2})'\s?([0-9]{1,2})(?:"|'')?""")
_INCHES_OF_A_FOOT: Final = 12

_ROOT = regex.compile(r"(?:√|\\sqrt)\s?(?:\{([0-9]{1,30})\}|([0-9]{1,30}))")
_HEXADECIMAL = regex.compile(r"0[xX]([0-9a-fA-F]{1,30})")
_WITH_BASE = regex.compile(r"([0-9A-F]{1,60})_\{?([0-9]{1,2})\}?")
_BASES: Final = range(2, 37)

_MATHS = regex.compile(
    r"\\\p{L}|(?:sin|cos|tan|log|ln|sqrt)\s?[(0-9]|[=^√π∞∑∫<>≤≥]|[\p{L}\p{N})]\s?[+*/·×]\s?[\p{L}\p{N}(\\]"
    r"|^[(\[].*,.*[)\]]$|\{.*\}|^-?[0-9.]+\s?[abeijknpqruvwxyzα-ω](?![\p{L}])"
)
_WORD = regex.compile(
    r"(?<![\\\p{L}])(?!(?:sin|cos|tan|log|ln|exp|max|min|gcd|lcm|mod|[pbv]?matrix|cases|array|aligned)(?!\p{L}))\p{L}[\p{L}\p{M}]+"
    r"|[^\P{L}\p{Latin}\p{Greek}]"
)
_SPACES_AND_DOLLARS = regex.compile(r"\s+|\$")
_SIGNS: Final = {
    r"\geq": "≥",
    r"\ge": "≥",
    r"\leq": "≤",
    r"\le": "≤",
    r"\neq": "≠",
    r"\ne": "≠",
    r"\gt": ">",
    r"\lt": "<",
    ">=": "≥",
    "<=": "≤",
    "!=": "≠",
    r"\pi": "π",
}
_ROOT_SIGN = regex.compile(r"\\sqrt(?:\{([0-9]{1,30}|\p{L})\}|([0-9]))")
_SIGN = regex.compile(r"\\(?:geq?|leq?|neq?|gt|lt|pi)(?!\p{L})|[<>!]=")


def read(span: str, language: str | None = None) -> Answer | None:
    """The answer that `span` as a whole is; None for an empty one. Never raises."""
    return read_normalised(normalised(span), convention(language))


def read_normalised(span: str, conv: Convention) -> Answer | None:
    """`read` for text that is normalised already."""
    clean = bare(span)
    if not any(c.isalnum() for c in clean):
        return None
    return clean_reading(clean, conv) or words_answer(clean)


def clean_reading(clean: str, conv: Convention) -> Answer | None:
    """`clean` as anything but words; None where it is none of these. Remembers short ones."""
    if len(clean) > MAX_TEXT_CHARS:
        return None
    is_short = len(clean) <= _MAX_SHORT_CHARS
    return _remembered(clean, conv) if is_short else _reading(clean, conv)


def _reading(clean: str, conv: Convention) -> Answer | None:
    plain = bare(plain_latex(clean))
    for reader in _READERS:
        answer = reader(plain, conv)
        if answer is not None:
            return answer
    return _right_side(plain, conv) or _expression(clean, plain)


_remembered = lru_cache(maxsize=1 << 14)(_reading)


def _date(span: str, _conv: Convention) -> Answer | None:
    readings = date_readings(span)
    if not readings:
        return None
    return Answer(text=span, kind="date", readings=readings)


def _time(span: str, _conv: Convention) -> Answer | None:
    return _text_answer(span, time_reading(span))


def _text_answer(span: str, reading: str | None) -> Answer | None:
    if reading is None:
        return None
    return Answer(text=span, kind="text", readings=(reading,))


def _choice(span: str, conv: Convention) -> Answer | None:
    return choice_answer(span, conv, clean_reading)


def _verdict(span: str, conv: Convention) -> Answer | None:
    """A word for yes or no, alone or before a comma, full stop or dash."""
    end = _CLAUSE_END.search(span, 0, _MAX_SHORT_CHARS + 1)
    word = span[: end.start()] if end else span
    if len(word) > _MAX_SHORT_CHARS:
        return None
    verdict = conv.verdicts.get(text_key(word))
    is_numero = end is not None and end[0] == "." and span[end.end() :].lstrip()[:1].isdigit()  # No. 5
    if verdict is None or is_numero:
        return None
    return Answer(text=span, kind="verdict", readings=(verdict,))


def _composite(span: str, conv: Convention) -> Answer | None:
    """A quantity in several units, as a number of the largest and of the smallest."""
    found = _feet_and_inches(span) or composite_value(span, conv)
    if found is None:
        return None
    values, unit = found
    readings = tuple(map(number_key, distinct(values)))
    return Answer(text=span, kind="number", readings=readings, unit=unit, is_in_parts=True)


def _feet_and_inches(span: str) -> tuple[tuple[Fraction, ...], str] | None:
    match = _FEET_AND_INCHES.fullmatch(span)
    if match is None or int(match[2]) >= _INCHES_OF_A_FOOT:
        return None
    inches = int(match[1]) * _INCHES_OF_A_FOOT + int(match[2])
    return (Fraction(inches, _INCHES_OF_A_FOOT), Fraction(inches)), "'"


def _several(span: str, conv: Convention) -> Answer | None:
    """A range, a list of solutions, an interval, a remainder, a complex number."""
    if conv.code is None and _MAY_BE_DECIMAL.fullmatch(span):
        return None
    return _text_answer(span, several_reading(span, conv))


def _parenthesised(span: str, conv: Convention) -> Answer | None:
    match = _PARENTHESISED.fullmatch(span)
    if match is None:
        return None
    return quantity_answer(match[1], conv)


def _computed(span: str, _conv: Convention) -> Answer | None:
    """`√16`, `0x1F`, `101_2`: numbers in another notation, as what they are."""
    value = _root(span)
    if value is None:
        value = _in_base(span)
    if value is None:
        return None
    return Answer(text=span, kind="number", readings=(str(value),))


def _root(span: str) -> int | None:
    match = _ROOT.fullmatch(span)
    if match is None:
        return None
    square = int(match[1] or match[2])
    root = isqrt(square)
    return root if root * root == square else None


def _in_base(span: str) -> int | None:
    hexadecimal = _HEXADECIMAL.fullmatch(span)
    if hexadecimal:
        return int(hexadecimal[1], 16)
    match = _WITH_BASE.fullmatch(span)
    if match is None or int(match[2]) not in _BASES:
        return None
    try:
        return int(match[1], int(match[2]))
    except ValueError:
        return None


def _right_side(span: str, conv: Convention) -> Answer | None:
    """`x = 5`, `6 × 7 = 42`: a number behind the only "="."""
    match = _EQUATION.match(span)
    if match is None:
        return None
    right = bare(span[match.end() :])
    return _composite(right, conv) or _several(right, conv) or quantity_answer(right, conv)


def _expression(clean: str, plain: str) -> Answer | None:
    """Mathematics beyond a number: commands, operators or equations, and no sentence around them."""
    if _WORD.search(plain) or not _MATHS.search(plain):
        return None
    reading = _SPACES_AND_DOLLARS.sub("", _SIGN.sub(lambda m: _SIGNS[m[0]], plain))
    readings = (reading,)
    if "\\sqrt" in reading:
        readings = (reading, _ROOT_SIGN.sub(r"√\1\2", reading))
    return Answer(text=clean, kind="expression", readings=readings)


_READERS: Final[tuple[Callable[[str, Convention], Answer | None], ...]] = (
    *(_date, _time, _choice, _verdict, mixed_answer, _composite, _several, quantity_answer),
    *(_parenthesised, _computed),
)
