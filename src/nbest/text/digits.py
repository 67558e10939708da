"""What digits with separators between them mean: `1,234.5`, `1.234,5`, `1 234`, `1,23,456`, `1,2345`. Pure.

The text must be `normalised`. Where a numeral may mean two numbers (`1.234`), both are kept.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import regex

from nbest.text.answer_words import Convention
from nbest.text.number import distinct

MAX_DIGITS: Final = 1000
"""A longer numeral is no number."""
_GROUP: Final = 3
_MAX_LAKH_HEAD: Final = 2
_NO_MARK = regex.compile(r"[^0-9]")
_DECIMAL_MARKS: Final = frozenset({".", ",", "٫"})
_GROUPS_BY_FOUR_IN: Final = frozenset({"zh", "ja", "ko"})
_BY_FOUR = regex.compile(r"[1-9][0-9]{0,3}(?:,[0-9]{4})+")


def readings(numeral: str, convention: Convention) -> tuple[Fraction, ...]:
    """What digits with separators may mean, likeliest first; nothing where they mean no number.

    A lone mark before three digits (`1.234`) is a decimal mark or groups thousands, as the language
    has it; both where the language is not known or has both, and where a decimal reading would end in 000.
    """
    if len(numeral) > MAX_DIGITS:
        return ()
    if numeral.isdigit():
        return (Fraction(int(numeral)),)
    whole = _by_four(numeral, convention) or _whole(numeral)
    decimal, mark = _decimal(numeral)
    if whole is None or decimal is None:
        return tuple(v for v in (whole, decimal) if v is not None)
    if mark not in {".", ","}:  # no decimal mark, whatever the language
        return (whole,)

    is_decimal_first = mark == (convention.decimals or ".")[0] and not _by_four(numeral, convention)
    first = [whole, decimal]
    if is_decimal_first:
        first.reverse()
    is_settled = len(convention.decimals) == 1 and not _by_four(numeral, convention)
    may_be_both = first[0] == decimal and numeral.endswith("000")
    return distinct(first[:1] if is_settled and not may_be_both else first)


def _by_four(numeral: str, convention: Convention) -> Fraction | None:
    """`1,2345` as East Asia groups ten thousands."""
    if convention.code in _GROUPS_BY_FOUR_IN and _BY_FOUR.fullmatch(numeral):
        return Fraction(int(numeral.replace(",", "")))
    return None


def _whole(numeral: str) -> Fraction | None:
    marks = set(_NO_MARK.findall(numeral))
    if len(marks) > 1 or "٫" in marks:
        return None
    return _grouped(numeral)


def _grouped(numeral: str) -> Fraction | None:
    """All marks as groups of three, or as lakh and crore (1,23,456)."""
    head, *groups = _NO_MARK.split(numeral)
    if not head:
        return None
    if not groups:
        return Fraction(int(head))
    by_three = len(head) <= _GROUP and all(len(g) == _GROUP for g in groups)
    by_two = all(len(g) == _GROUP - 1 for g in groups[:-1]) and len(groups[-1]) == _GROUP
    is_lakh = by_two and len(head) <= _MAX_LAKH_HEAD
    if head.startswith("0") or not (by_three or is_lakh):
        return None
    return Fraction(int("".join([head, *groups])))


def _decimal(numeral: str) -> tuple[Fraction | None, str]:
    """The last mark as the decimal mark, the others as groups of one kind; and that mark."""
    mark = next((c for c in reversed(numeral) if not c.isdigit()), "")
    if mark not in _DECIMAL_MARKS:
        return None, mark
    head, tail = numeral.rsplit(mark, 1)
    whole = _before_decimal_mark(head, mark)
    if whole is None:
        return None, mark
    return whole + Fraction(int(tail), 10 ** len(tail)), mark


def _before_decimal_mark(head: str, mark: str) -> Fraction | None:
    if not head.strip("0"):
        return Fraction(0)
    groups = set(_NO_MARK.findall(head))
    if mark in groups or len(groups) > 1:
        return None
    return _grouped(head)
