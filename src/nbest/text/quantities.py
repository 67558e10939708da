"""Answers of more than one number: `5 h 30 min`, `17 R 3`, `3-5`, `x = 3 or x = 5`, `(2, 5)`, `±5`.

Each is read as a whole or not at all: a part that is not understood makes the reading None.
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
from nbest.text.digits import readings
from nbest.text.number import Number, number_key
from nbest.text.numerals import numbers_in
from nbest.text.quantity_words import at_start, places_by_unit, ratios, unit_at_start, words
from nbest.text.spelling import respelled

MAX_CHARS: Final = 200
_MAX_NUMBERS: Final = 20
_SHORT_REMAINDER = regex.compile(r"(?<=[0-9])\s?(?:[rR]|\.{3,6})\s?(?=[0-9])")
_COMMAS = regex.compile(r"[0-9]+(?:,[0-9]+){2,}")

_LABEL = regex.compile(r"(?:\\?[\p{Latin}\p{Greek}][\w']{0,3})\s*=$")
_HAN_NUMERAL = regex.compile(r"[一二三四五六七八九十两兩]")
_TUPLE = regex.compile(r"(\()(.*)(\))|(\[)(.*)(\])|([\[(])(.*)([\])])", regex.DOTALL)
_SET = regex.compile(r"\\?\{(.*)\\?\}", regex.DOTALL)
_PLUS_MINUS = regex.compile(
    r"(?:[\p{Latin}]\s?=\s?)?(?:±|\\pm|\+/-|\+-|plus or minus\s)\s?(.+)", regex.DOTALL
)
_COMPLEX = regex.compile(
    r"(?P<real>[+-]?[0-9.]+)?\s*(?P<imaginary>(?:[+-]\s*|^)[0-9.]*)\s*i|(?P<first>[+-]?[0-9.]*)i\s*(?P<second>[+-]\s*[0-9.]+)"
)
_OPTIONAL_TAIL = regex.compile(r"[\s.。!]*(?:です|だ|입니다|है|है।|است|ครับ|ค่ะ|整|左右|total|in total)?[\s.。]*")


@dataclass(frozen=True, slots=True)
class Parts:
    """A span cut at its numbers: `before`, and behind each number what stands up to the next one or the end."""

    before: str
    numbers: Sequence[Number]
    behind: Sequence[str]


def parts_of(span: str, conv: Convention) -> Parts | None:
    """`span` cut at its numbers; None without a number, or where there are too many."""
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


def composite_value(span: str, conv: Convention) -> tuple[tuple[Fraction, ...], str] | None:
    """What a quantity in several units is in its largest, then in its smallest, and the largest as written.

    `5 h 30 min` is 5.5 and 330, `3元5角` 3.5 and 35, `3 dollars and 50 cents` 3.5 and 350.
    """
    if len(span) > MAX_CHARS:
        return None
    in_digits = cjk.in_digits(span) if _HAN_NUMERAL.search(span) else span
    for text in dict.fromkeys((span, in_digits)):
        parts = parts_of(text, conv)
        if parts and len(parts.numbers) > 1 and (found := _composite(parts) or _units_first(parts)):
            return found
    return None


def _composite(parts: Parts) -> tuple[tuple[Fraction, ...], str] | None:
    if _without_about(parts.before) not in {"", "$", "€", "£"}:
        return None
    units: list[str] = []
    for i, (number, behind) in enumerate(zip(parts.numbers, parts.behind, strict=True)):
        match = unit_at_start().match(behind)
        unit = match["unit"] if match else number.unit
        rest = behind[match.end() :].strip() if match else behind.strip()
        is_last = i == len(parts.numbers) - 1
        if unit is None or not (_is_tail(rest) if is_last else _is_connective(rest)):
            return None
        units.append(respelled(unit))

    return _in_largest(units, parts.numbers)


def _units_first(parts: Parts) -> tuple[tuple[Fraction, ...], str] | None:
    """`saa 5 na dakika 30`, as Swahili has it."""
    if parts.behind[-1].strip():
        return None
    units: list[str] = []
    for before in (parts.before, *parts.behind[:-1]):
        words_before = before.split()
        if not words_before or not _is_connective(" ".join(words_before[:-1])):
            return None
        units.append(respelled(words_before[-1]))
    return _in_largest(units, parts.numbers)


def _in_largest(units: Sequence[str], numbers: Sequence[Number]) -> tuple[tuple[Fraction, ...], str] | None:
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


def several_reading(span: str, conv: Convention) -> str | None:
    """A canonical form for a remainder, a range, an interval, a tuple, or a list or set of solutions."""
    if len(span) > MAX_CHARS:
        return None
    return _plus_minus(span, conv) or _complex(span) or _bracketed(span, conv) or _enumerated(span, conv)


def _plus_minus(span: str, conv: Convention) -> str | None:
    match = _PLUS_MINUS.fullmatch(span)
    parts = parts_of(match[1], conv) if match else None
    if not parts or len(parts.numbers) != 1 or parts.before.strip():
        return None
    value = abs(parts.numbers[0].values[0])
    return _listed({"": [-value, value]}) if _is_unit_or_nothing(parts.behind[0]) else None


def _complex(span: str) -> str | None:
    match = _COMPLEX.fullmatch(span.replace("−", "-").strip())
    if not match:
        return None
    real = (match["real"] or match["second"] or "0").replace(" ", "")
    imaginary = (match["imaginary"] if match["first"] is None else match["first"]).replace(" ", "")
    if imaginary in {"", "+", "-"}:
        imaginary += "1"
    try:
        parts = number_key(Fraction(real)), number_key(Fraction(imaginary))
    except ValueError:
        return None
    return (
        f"{parts[0]}{'' if parts[1].startswith('-') else '+'}{parts[1]}i"
        if parts[0] != "0"
        else f"{parts[1]}i"
    )


def _bracketed(span: str, conv: Convention) -> str | None:
    span = span.strip()
    if span[:1] in "([" and span[-1:] in ")]" and len(span) > 1:
        opening, inner, closing = span[0], span[1:-1], span[-1]
    elif match := _SET.fullmatch(span):
        opening, inner, closing = "{", match[1].rstrip("\\"), "}"
    else:
        return None
    cells = _cells(inner, conv)
    if cells is None or len(cells) < 2:  # noqa: PLR2004
        return None
    if opening == "{":
        return _listed({"": cells})
    return f"{opening}{','.join(map(number_key, cells))}{closing}"


def _cells(inner: str, conv: Convention) -> list[Fraction] | None:
    """The numbers of `1, 2, 3`; None where a cell is anything else."""
    cells: list[Fraction] = []
    for cell in regex.split(r"[;]\s*" if ";" in inner else r",\s*", inner):
        parts = parts_of(cell.strip(), conv)
        if not parts or len(parts.numbers) != 1 or parts.before or parts.behind[0].strip():
            return None
        cells.append(parts.numbers[0].values[0])
    return cells


def _enumerated(span: str, conv: Convention) -> str | None:
    parts = parts_of(_spaced(span, conv), conv)
    if not parts or len(parts.numbers) < 2:  # noqa: PLR2004
        return None
    if len(parts.numbers) == 2 and (two := _two(parts)):  # noqa: PLR2004
        return two
    return _list(parts)


def _spaced(span: str, conv: Convention) -> str:
    """`1,2,3` with spaces, so that no comma groups or divides digits; `3-5` so that 5 has no sign."""
    if _COMMAS.fullmatch(span) and not readings(span, conv):
        return span.replace(",", ", ")
    span = _SHORT_REMAINDER.sub(" r ", span)
    return regex.sub(r"(?<=[0-9%°])\s?[-–—~〜]\s?(?=[0-9$€£])", " ~ ", span)


def _two(parts: Parts) -> str | None:
    """Quotient and remainder, or the ends of a range."""
    first, second = (number_key(n.values[0]) for n in parts.numbers)
    unit = unit_at_start().match(parts.behind[0])
    between = parts.behind[0].strip(" ,;:.(")
    after_unit = parts.behind[0][unit.end() :].strip(" ,;:.(") if unit else None
    before = _without_about(parts.before)
    if not _is_unit_or_nothing(parts.behind[1].replace(")", "")):
        return None

    remainder, range_ = words("between", "remainder"), words("between", "range")
    if before == "" and (between in remainder or after_unit in remainder):
        return f"{first} r {second}"
    is_from = before in words("between", "from")
    joins = range_ | words("between", "and") if is_from else range_
    if (is_from or before == "") and (between in joins or after_unit in joins):
        return f"{first}-{second}"
    return None


def _list(parts: Parts) -> str | None:
    """`3, 5`, `x = 3 or x = 5`, `x = 3, y = 5`: sorted within a label, for order says nothing."""
    values: dict[str, list[Fraction]] = {}
    texts = [parts.before, *parts.behind]
    for text, number in zip(texts, parts.numbers, strict=False):
        label = _LABEL.search(text.strip())
        connective = text.strip()[: label.start()] if label else text
        is_first = number is parts.numbers[0]
        if not (
            _without_about(connective) == "" if is_first else _is_connective(connective, needs_sign=True)
        ):
            return None
        values.setdefault(label[0].rstrip("= ").strip() if label else "", []).append(number.values[0])
    if not _is_unit_or_nothing(texts[-1]):
        return None
    labels = [label for label in values if label]
    if len(labels) == 1:  # x = 3 or 5
        values = {"": [v for found in values.values() for v in found]}
    return None if labels and "" in values and len(values) > 1 else _listed(values)


def _listed(values: dict[str, list[Fraction]]) -> str:
    if list(values) == [""]:
        return ",".join(number_key(v) for v in sorted(set(values[""])))
    return ",".join(
        f"{label}={number_key(v)}" for label in sorted(values) for v in sorted(set(values[label]))
    )


def _is_connective(text: str, *, needs_sign: bool = False) -> bool:
    """Whether `text` joins two parts: nothing, a comma, "and" or "or"."""
    found = text.strip(" ,;、·")
    if not found:
        return bool(text.strip()) or not needs_sign
    return found in words("between", "and") or found in words("between", "or")


def _is_tail(text: str) -> bool:
    return _OPTIONAL_TAIL.fullmatch(text) is not None


def _is_unit_or_nothing(text: str) -> bool:
    match = unit_at_start().match(text)
    rest = text[match.end() :] if match else text
    return (
        _is_tail(rest) or _is_tail(text) or regex.fullmatch(r"\s?\p{L}[\p{L}\p{M}]*[\s.]*", text) is not None
    )


def _without_about(text: str) -> str:
    """`text` without "about", "a total of", "exactly" and signs of approximation."""
    text = text.strip(" ≈~≃:,=")
    while text and (match := at_start("sign", "about").match(text)):
        text = text[match.end() :].strip(" ≈~≃:,=")
    return text
