"""Dates and times of day, however a language writes them, to ISO 8601 and to a clock of 24 hours."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

import regex

from nbest.text.quantity_words import (
    at_end,
    at_start,
    month_by_name,
    persian_month_by_name,
    words,
    year_before_era,
)
from nbest.text.spelling import respelled

MAX_CHARS: Final = 60
"""A longer span is no date."""
_BUDDHIST_YEARS: Final = range(2400, 2700)
_BUDDHIST_OFFSET: Final = 543

YMD = regex.compile(r"(?<![0-9])([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})(?![-/.]?[0-9])")
DMY = regex.compile(r"(?<![0-9])([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})(?![-/.]?[0-9])")
HAN = regex.compile(r"([0-9]{4})\s?[年년]\s?([0-9]{1,2})\s?[月월](?:\s?([0-9]{1,2})\s?[日일号號])?")
WORDED = regex.compile(
    r"(?<![0-9])[0-3]?[0-9](?:\.|er|º|ª)?\s(?:de\s|of\s)?\p{L}[\p{L}\p{M}]{2,15}\.?,?\s(?:de[l]?\s)?[12][0-9]{3}(?![0-9])"
    r"|(?<!\p{L})\p{L}[\p{L}\p{M}]{2,15}\.?\s[0-3]?[0-9](?:st|nd|rd|th)?,\s[12][0-9]{3}(?![0-9])"
)
_MONTH_DAY = regex.compile(r"([0-9]{1,2})\s?[月월]\s?([0-9]{1,2})\s?[日일号號]")
_VIETNAMESE = regex.compile(r"(?:ngày\s)?([0-9]{1,2})\stháng\s([0-9]{1,2})(?:\snăm\s([0-9]{4}))?")
_ERA_YEAR = regex.compile(r"(?P<era>\p{Han}{2})\s?(?P<year>[0-9]{1,2}|元)\s?年")
_TOKEN = regex.compile(r"[0-9]+|[\p{L}\p{M}]+")
_FILLERS: Final = frozenset(
    [
        "de",
        "del",
        "of",
        "the",
        "le",
        "la",
        "el",
        "den",
        "der",
        "am",
        "on",
        "er",
        "ième",
        "st",
        "nd",
        "rd",
        "th",
        "º",
        "ª",
        "den",
        "d",
        "o",
        "dne",
        "dia",
        "ngay",
        "dnia",
        "г",
        "года",
        "р",
        "року",
        "พ",
        "ศ",
        "ค",
        "วันที่",
        "في",
        "يوم",
        "em",
        "il",
        "i",
        "το",
        "του",
        "στις",
        "της",
        "la",
        "tanggal",
        "tgl",
        "jour",
        "року",
        "рік",
    ]
)
_MAX_TOKENS: Final = 8


def date_readings(span: str) -> tuple[str, ...]:
    """`2024-03-05` for a date that is the whole span, `2024-03` without a day, `--03-05` without a year.

    5/3/2024 has two readings, day first; a date of the Persian calendar stays in its own years. Empty
    where the span is no date.
    """
    if len(span) > MAX_CHARS or not any(c.isdigit() for c in span):
        return ()
    return _numeric(span) or _with_month_name(respelled(span))


def _numeric(span: str) -> tuple[str, ...]:
    orders: list[tuple[str | None, str | None, str | None]] = []
    in_eras = _ERA_YEAR.sub(_gregorian, span)
    if m := YMD.fullmatch(span):
        orders = [(m[1], m[3], m[4])]
    elif m := DMY.fullmatch(span):
        orders = [(m[4], m[3], m[1]), (m[4], m[1], m[3])]
    elif m := HAN.fullmatch(in_eras):
        orders = [(m[1], m[2], m[3])]
    elif m := _MONTH_DAY.fullmatch(span):
        orders = [(None, m[1], m[2])]
    elif m := _VIETNAMESE.fullmatch(span.lower()):
        orders = [(m[3], m[2], m[1])]
    return tuple(dict.fromkeys(r for order in orders if (r := _iso(*order))))


def _gregorian(match: regex.Match[str]) -> str:
    first = year_before_era().get(match["era"])
    if first is None:
        return match[0]
    year = 1 if match["year"] == "元" else int(match["year"])
    return f"{first + year}年"


def _with_month_name(key: str) -> tuple[str, ...]:
    tokens = _TOKEN.findall(key)
    numbers = [t for t in tokens if t.isdigit()]
    named = [t for t in tokens if not t.isdigit() and t not in _FILLERS]
    if len(tokens) > _MAX_TOKENS or len(named) != 1 or not 1 <= len(numbers) <= 2:  # noqa: PLR2004
        return ()
    years = [n for n in numbers if len(n) == 4]  # noqa: PLR2004
    days = [n for n in numbers if len(n) <= 2]  # noqa: PLR2004
    if len(years) > 1 or len(days) > 1 or len(years) + len(days) < len(numbers):
        return ()

    year, day = (years or [None])[0], (days or [None])[0]
    if month := persian_month_by_name().get(named[0]):
        return (f"{year}-{month:02}-{int(day):02}",) if year and day else ()
    month = month_by_name().get(named[0])
    if month is None:
        return ()
    if year and int(year) in _BUDDHIST_YEARS:
        year = str(int(year) - _BUDDHIST_OFFSET)
    found = _iso(year, str(month), day)
    return (found,) if found else ()


def _iso(year: str | None, month: str | None, day: str | None) -> str | None:
    try:
        made = date(int(year or 2000), int(month or 0), int(day or 1))
    except ValueError:
        return None
    if not year:
        return f"--{made.month:02}-{made.day:02}" if day else None
    return made.isoformat() if day else made.isoformat()[:7]


_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_DOTTED = re.compile(r"([0-9]{1,2})[.:]([0-9]{2})")
_LETTERED = re.compile(r"([0-9]{1,2})\s?(?:h|uhr|giờ|u|ч|t)\s?([0-9]{2})")
_EAST_ASIAN = re.compile(r"([0-9]{1,2})\s?([時时点點시])(?:\s?([0-9]{1,2})\s?[分분]|\s?(半|반))?")
_HOUR = re.compile(r"([0-9]{1,2})")
_NOON: Final = 12


def time_reading(span: str) -> str | None:
    """`17:30` for a time of day that is the whole span, such as `5:30 PM`, `17h30`, `오후 5시 30분`; else None."""
    if len(span) > MAX_CHARS or not span[:60].strip() or not any(c.isdigit() for c in span):
        return None
    key, half = _without_half_day(respelled(span))
    bare_key = at_end("half_day", "clock").sub("", key)
    has_clock = bare_key != key

    seconds = None
    if m := _CLOCK.fullmatch(bare_key):
        hour, minute, seconds = m[1], m[2], m[3]
    elif ((half or has_clock) and (m := _DOTTED.fullmatch(bare_key))) or (m := _LETTERED.fullmatch(key)):
        hour, minute = m[1], m[2]
    elif (m := _EAST_ASIAN.fullmatch(key)) and (half or m[2] in "時时시" or m[3] or m[4]):
        hour, minute = m[1], m[3] or ("30" if m[4] else "0")
    elif half and (m := _HOUR.fullmatch(bare_key)):
        hour, minute = m[1], "0"
    else:
        return None
    return _clock(int(hour), int(minute), seconds, half)


def _without_half_day(key: str) -> tuple[str, str | None]:
    for half in ("am", "pm"):
        for pattern in (at_start("half_day", half), at_end("half_day", half)):
            if pattern is at_end("half_day", half) and (m := pattern.search(key)):
                return key[: m.start()].strip(), half
            if pattern is not at_end("half_day", half) and (m := pattern.match(key)):
                return key[m.end() :].strip(), half
    if (m := re.search(r"(?<=[0-9])\s?([ap])\.?m\.?$", key)) is not None:
        return key[: m.start()].strip(), m[1] + "m"
    return key, None


def _clock(hour: int, minute: int, seconds: str | None, half: str | None) -> str | None:
    if hour > 24 or minute > 59:  # noqa: PLR2004
        return None
    if half == "pm" and hour < _NOON:
        hour += _NOON
    if half == "am" and hour == _NOON:
        hour = 0
    end = f":{seconds}" if seconds else ""
    return f"{hour}:{minute:02}{end}"


def is_month(word: str) -> bool:
    """Whether a word is the name of a month."""
    return respelled(word) in month_by_name()


__all__ = ["DMY", "HAN", "WORDED", "YMD", "date_readings", "is_month", "time_reading", "words"]
