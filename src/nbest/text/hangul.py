"""Korean numerals written in Hangul: Sino-Korean (백이십 개, 삼만 오천 원) and native (세 번째, 스물다섯 명)."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import regex

from nbest.text import cjk
from nbest.text.number import Number

_SINO: Final = "영공일이삼사오육륙칠팔구십백천만억조"
_DIGITS: Final = "영공일이삼사오육륙칠팔구"
_TO_HAN: Final = str.maketrans(_SINO, "零零一二三四五六六七八九十百千万億兆")
_TENS: Final = {
    "열": 10,
    "스물": 20,
    "스무": 20,
    "서른": 30,
    "마흔": 40,
    "쉰": 50,
    "예순": 60,
    "일흔": 70,
    "여든": 80,
    "아흔": 90,
}
_ONES: Final = {
    "하나": 1,
    "한": 1,
    "첫": 1,
    "둘": 2,
    "두": 2,
    "셋": 3,
    "세": 3,
    "석": 3,
    "넷": 4,
    "네": 4,
    "넉": 4,
    "다섯": 5,
    "여섯": 6,
    "일곱": 7,
    "여덟": 8,
    "아홉": 9,
}
_COUNTER: Final = (
    "번째|번|개월|개|명|원|마리|권|장|살|세|년|월|일|시간|분|초|잔|병|대|그루|송이|자루|켤레|쌍|층|호|회|배|달러|유로|센트|도|킬로그램|킬로미터|킬로|미터|"
    "센티미터|센티|그램|리터|퍼센트|프로|조각|사람|가지|주일|주|달|쪽|페이지|점|판|알|줄|묶음|상자|봉지|톤|박스|가구|제곱미터|평|인분|다발|포기|접시|등|위|째"
)
_END: Final = rf"(?=\s?(?:{_COUNTER})?(?:입니다|이다|이에요|예요|다|요)?[\s.]*$|\s?(?:{_COUNTER})(?:[^\p{{Hangul}}]|이|가|을|를|의|입|다|인))"
_SINO_NUMERAL = regex.compile(
    rf"제?(?P<sign>음수\s)?(?P<numeral>[{_SINO}]{{1,20}}(?:\s[{_SINO}]{{1,20}}){{0,3}})(?:\s?점\s?(?P<decimals>[영공일이삼사오육칠팔구]{{1,20}}))?{_END}"
)
_NATIVE_NUMERAL = regex.compile(rf"(?P<tens>{'|'.join(_TENS)})?(?P<ones>{'|'.join(_ONES)})?{_END}")
_NEEDS_COUNTER: Final = frozenset({"한", "첫", "두", "세", "석", "네", "넉", "열"})


_HAS_UNIT = regex.compile("[十百千万億兆]")


def number_at_start(text: str) -> Number | None:
    """The numeral that `text` begins with, where a counter, a copula or the end follows it."""
    if match := _SINO_NUMERAL.match(text):
        return _sino(match)
    match = _NATIVE_NUMERAL.match(text)
    if not match or match.end() == match.start():
        return None
    if match[0] in _NEEDS_COUNTER and not text[match.end() :].strip():
        return None
    value = _TENS.get(match["tens"] or "", 0) + _ONES.get(match["ones"] or "", 0)
    return Number((Fraction(value),), match.start(), match.end())


_FRACTION = regex.compile(r"([0-9]{1,6})\s?분의\s?([0-9]{1,6})")


def fraction_at_start(text: str) -> Number | None:
    """`3분의 1`, the denominator first."""
    match = _FRACTION.match(text)
    if not match or not int(match[1]):
        return None
    return Number((Fraction(int(match[2]), int(match[1])),), 0, match.end())


def _sino(match: regex.Match[str]) -> Number | None:
    written = match["numeral"]
    if len(written) > 1 and written.endswith("일") and written[-2] in _DIGITS:
        written = written[:-1]  # 오일 is five days
    numeral = "".join(written.split()).translate(_TO_HAN)
    if len(numeral) > 1 and not _HAS_UNIT.search(numeral):
        return None  # 오이 is a cucumber
    if match["decimals"]:
        numeral += "点" + match["decimals"].translate(_TO_HAN)
    found = cjk.number_at_start(numeral)
    if found is None or found.end < len(numeral):
        return None
    # 삼만 오 is 30 005; only Chinese speech leaves the last unit out.
    end = match.end() if match["decimals"] else match.start("numeral") + len(written)
    return Number(found.values[-1:], match.start(), end)
