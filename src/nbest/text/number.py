"""An exact number, what it may mean, and how it is written for comparison."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text."""

    values: tuple[Fraction, ...]
    """What it may mean, likeliest first."""
    start: int
    end: int
    unit: str | None = None
    """A sign that belongs to it: `%`, `‰` or a currency's."""


def as_share(values: tuple[Fraction, ...], unit: str | None) -> tuple[Fraction, ...]:
    """50 % may be meant as 50 or as 0.5."""
    divisor = {"%": 100, "‰": 1000}.get(unit or "")
    return distinct([*values, *(v / divisor for v in values)]) if divisor else values


def number_key(value: Fraction) -> str:
    """`42`, `-0.75`, and `1/3` for what has no finite decimal form."""
    twos = fives = 0
    rest = value.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    if places:
        digits = f"{digits[:-places]}.{digits[-places:]}"
    return f"-{digits}" if value < 0 else digits


def distinct(values: Iterable[Fraction]) -> tuple[Fraction, ...]:
    """Each once, in order."""
    return tuple(dict.fromkeys(values))
