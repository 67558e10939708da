"""Dates and times of day, however a language writes them, to ISO 8601 and to a clock of 24 hours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Final

import regex

from nbest.text.quantity_words import (
    month_by_name,
    persian_month_by_name,
    phrases,
    written_phrases,
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
        "r",
        "roku",
        "rok",
        "a",
        "al",
        "anul",
        "les",
        "los",
        "op",
        "na",
        "ngày",
        "năm",
        "tahun",
        "ปี",
        "เดือน",
        "سنة",
        "عام",
        "ב",
        "ה",
        "yılı",
        "tarihi",
        "tarihinde",
    ]
)
_MAX_TOKENS: Final = 8
_YEAR_LENGTH: Final = 4


def date_readings(span: str) -> tuple[str, ...]:
    """`2024-03-05` for a date that is the whole span, `2024-03` without a day, `--03-05` without a year.

    5/3/2024 has two readings, day first; a date of the Persian calendar stays in its own years. Empty
    where the span is no date.
    """
    if len(span) > MAX_CHARS or not any(c.isdigit() for c in span):
        return ()
    return _numeric(span) or _with_month_name(respelled(span))


def _numeric(span: str) -> tuple[str, ...]:
    found = (_iso(*order) for order in _orders(span))
    return tuple(dict.fromkeys(reading for reading in found if reading))


def _orders(span: str) -> list[tuple[str | None, str | None, str | None]]:
    """Year, month and day of a date in digits, in each order that it may be written in."""
    match = YMD.fullmatch(span)
    if match:
        return [(match[1], match[3], match[4])]
    match = DMY.fullmatch(span)
    if match:
        return [(match[4], match[3], match[1]), (match[4], match[1], match[3])]
    match = HAN.fullmatch(_ERA_YEAR.sub(_gregorian, span))
    if match:
        return [(match[1], match[2], match[3])]
    match = _MONTH_DAY.fullmatch(span)
    if match:
        return [(None, match[1], match[2])]
    match = _VIETNAMESE.fullmatch(span.lower())
    if match:
        return [(match[3], match[2], match[1])]
    return []


def _gregorian(match: regex.Match[str]) -> str:
    first = year_before_era().get(match["era"])
    if first is None:
        return match[0]
    year = 1 if match["year"] == "元" else int(match["year"])
    return f"{first + year}年"


def _with_month_name(key: str) -> tuple[str, ...]:
    tokens = _TOKEN.findall(key)
    named = [t for t in tokens if not t.isdigit() and t not in _FILLERS]
    numbers = [t for t in tokens if t.isdigit()]
    if len(tokens) > _MAX_TOKENS or len(named) != 1:
        return ()
    found = _year_and_day(numbers)
    if found is None:
        return ()

    year, day = found
    persian = persian_month_by_name().get(named[0])
    if persian:
        return _persian(year, persian, day)
    month = month_by_name().get(named[0])
    reading = _iso(_common_era(year), str(month or 0), day)
    return tuple(filter(None, [reading]))


def _persian(year: str | None, month: int, day: str | None) -> tuple[str, ...]:
    if not (year and day):
        return ()
    return (f"{year}-{month:02}-{int(day):02}",)


def _year_and_day(numbers: Sequence[str]) -> tuple[str | None, str | None] | None:
    """The year and the day among at most two numbers, either of which may be missing; None for anything else."""
    years = [n for n in numbers if len(n) == _YEAR_LENGTH]
    days = [n for n in numbers if len(n) < _YEAR_LENGTH - 1]
    is_date = len(years) <= 1 and len(days) <= 1 and len(years) + len(days) == len(numbers) > 0
    return (next(iter(years), None), next(iter(days), None)) if is_date else None


def _common_era(year: str | None) -> str | None:
    if year and int(year) in _BUDDHIST_YEARS:
        return str(int(year) - _BUDDHIST_OFFSET)
    return year


def _iso(year: str | None, month: str | None, day: str | None) -> str | None:
    try:
        made = date(int(year or 2000), int(month or 0), int(day or 1))
    except ValueError:
        return None
    if year and day:
        return made.isoformat()
    if year:
        return f"{made:%Y-%m}"
    return f"{made:--%m-%d}" if day else None


_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_DOTTED = re.compile(r"([0-9]{1,2})[.:]([0-9]{2})")
_LETTERED = re.compile(r"([0-9]{1,2})\s?(?:h|uhr|giờ|u|ч|t)\s?([0-9]{2})")
_EAST_ASIAN = re.compile(r"([0-9]{1,2})\s?([時时点點시])(?:\s?([0-9]{1,2})\s?[分분]|\s?(半|반))?")
_HOUR = re.compile(r"([0-9]{1,2})")
_NOON: Final = 12
_HOURS: Final = 24
_MINUTES: Final = 60


def time_reading(span: str) -> str | None:
    """`17:30` for a time of day that is the whole span, such as `5:30 PM`, `17h30`, `오후 5시 30분`; else None."""
    if len(span) > MAX_CHARS or not any(c.isdigit() for c in span):
        return None
    key, half = _without_half_day(_without_start("at", respelled(span)))
    if half is None:
        key = _without_start("clock", key)
    bare_key = phrases("half_day", "clock").without_end(key)
    if bare_key is None:
        bare_key = key
    found = _written_time(key, bare_key, half)
    if found is None:
        return None
    return _clock(*found, half)


def _written_time(key: str, bare_key: str, half: str | None) -> tuple[str, str, str | None] | None:
    """Hour, minute and seconds as written; `bare_key` is without a word for the clock."""
    match = _CLOCK.fullmatch(bare_key)
    if match:
        return match[1], match[2], match[3]
    match = _DOTTED.fullmatch(bare_key)
    if match and (half or bare_key != key):
        return match[1], match[2], None
    match = _LETTERED.fullmatch(key)
    if match:
        return match[1], match[2], None
    match = _EAST_ASIAN.fullmatch(key)
    if match and (half or match[2] in "時时시" or match[3] or match[4]):
        return match[1], match[3] or _MINUTES_OF_HALF[bool(match[4])], None
    match = _HOUR.fullmatch(bare_key)
    if match and half:
        return match[1], "0", None
    return None


_MINUTES_OF_HALF: Final = {False: "0", True: "30"}


def _without_start(field: str, key: str) -> str:
    rest = written_phrases("half_day", field).without_start(key)
    return key if rest is None else rest


def _without_half_day(key: str) -> tuple[str, str | None]:
    for half in ("am", "pm"):
        rest = written_phrases("half_day", half).without_start(key)
        if rest is None:
            rest = phrases("half_day", half).without_end(key)
        if rest is not None:
            return rest.strip(), half
    match = _GLUED_HALF.search(key)
    if match is None:
        return key, None
    return key[: match.start()].strip(), match[1] + "m"


_GLUED_HALF = re.compile(r"(?<=[0-9])\s?([ap])\.?m\.?$")


def _clock(hour_written: str, minute: str, seconds: str | None, half: str | None) -> str | None:
    hour = int(hour_written)
    if hour > _HOURS or int(minute) >= _MINUTES:
        return None
    if half == "pm" and hour < _NOON:
        hour += _NOON
    elif half == "am" and hour == _NOON:
        hour = 0
    written = f"{hour}:{int(minute):02}"
    return f"{written}:{seconds}" if seconds else written
