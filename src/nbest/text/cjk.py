"""Chinese, Japanese and Korean numerals: 一百二十, 3万5千, 百分之五, 4分の3, 백이십."""

from __future__ import annotations

from fractions import Fraction

import regex

from nbest.text.number import Number, as_share

_DIGITS = {
    c: i
    for i, forms in enumerate(
        ("〇零", "一壹壱弌", "二贰貳弐两兩", "三叁參参", "四肆", "五伍", "六陆陸", "七柒漆", "八捌", "九玖")
    )
    for c in forms
}
_SMALL = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE = {"万": 10**4, "萬": 10**4, "億": 10**8, "亿": 10**8, "兆": 10**12}
_HANGUL = str.maketrans("영공일이삼사오육륙칠팔구십백천만억조", "零零一二三四五六六七八九十百千万億兆")

_A = r"[0-9]{1,50}(?:[.,][0-9]{1,50})?"
_D = f"[{''.join(_DIGITS)}]"
_U = f"[{''.join(_SMALL)}{''.join(_LARGE)}](?![克米瓦卡])"  # 千克 is a kilogram
_NUMERAL = rf"(?:(?:{_A}\s?|[零〇]?{_D})?{_U}){{1,20}}(?:[零〇]?{_D}|{_A})?|{_D}{{2,50}}"
_WHOLE = rf"(?:{_NUMERAL}|{_D}|{_A})"
_TOKEN = regex.compile(
    rf"(?P<sign>[负負-])?(?:(?P<parts>{_WHOLE})分[之の](?P<of>{_WHOLE}(?:[点點]{_D}{{1,50}})?)"
    rf"|(?P<whole>{_NUMERAL}|{_D})(?:[点點](?P<decimals>(?:{_D}|[0-9]){{1,50}}))?)"
)
_IN_TEXT = regex.compile(rf"(?<![\p{{Han}}]{_D})(?:{_NUMERAL})")
_PIECE = regex.compile(rf"{_A}|.")
_HANGUL_ONLY = regex.compile(r"[영공일이삼사오육륙칠팔구십백천만억조]{2,20}(?=[원개명]?$)")


def number_at_start(text: str) -> Number | None:
    """The numeral that `text` begins with, written without or with ASCII digits between the units."""
    hangul = _HANGUL_ONLY.match(text)
    match = _TOKEN.match(text.translate(_HANGUL) if hangul else text)
    return _number(match) if match else None


def followed_by_unit(ascii_match: regex.Match[str]) -> Number | None:
    """`3万5千`, where ASCII digits begin a numeral with units; `100分の5` too."""
    text, start = ascii_match.string, ascii_match.start("numeral")
    after = text[ascii_match.end() : ascii_match.end() + 2].lstrip()[:1]
    if not after or (after not in _SMALL and after not in _LARGE and after != "分"):
        return None
    match = _TOKEN.match(text, start)
    number = _number(match) if match else None
    is_negative = (ascii_match["sign"] or "+") != "+" or ascii_match["sign2"]
    if not number or not is_negative:
        return number
    return Number(tuple(-v for v in number.values), ascii_match.start(), number.end, number.unit)


def last_in(text: str) -> Number | None:
    """The last numeral of two characters or more, for texts without digits."""
    starts = [m.start() for m in _IN_TEXT.finditer(text)]
    match = _TOKEN.match(text, starts[-1]) if starts else None
    return _number(match) if match else None


def _number(match: regex.Match[str]) -> Number | None:
    unit = None
    if match["whole"]:
        values = _values(match["whole"])
        if match["decimals"]:
            values = tuple(v + _decimals(match["decimals"]) for v in values)
    else:
        whole, _, decimals = match["of"].replace("點", "点").partition("点")
        parts = _values(match["parts"])[0]
        if not parts:
            return None
        values = tuple(v + _decimals(decimals) for v in _values(whole))
        if parts == 100:  # noqa: PLR2004
            values, unit = as_share(values, "%"), "%"
        else:
            values = tuple(v / parts for v in values)
    if match["sign"]:
        values = tuple(-v for v in values)
    return Number(values, match.start(), match.end(), unit)


def _decimals(digits: str) -> Fraction:
    plain = "".join(str(_DIGITS.get(c, c)) for c in digits)
    return Fraction(int(plain), 10 ** len(plain)) if plain else Fraction(0)


def _values(numeral: str) -> tuple[Fraction, ...]:
    """What a numeral means; 三万五 is 35000 as spoken in Chinese and 30005 as written in Japanese."""
    if all(c in _DIGITS for c in numeral):
        return (Fraction(int("".join(str(_DIGITS[c]) for c in numeral))),)
    total, section, digits, unit = Fraction(0), Fraction(0), None, 1
    for piece in _PIECE.findall(numeral):
        if piece in _SMALL:
            unit = _SMALL[piece]
            section += (1 if digits is None else digits) * unit
            digits = None
        elif piece in _LARGE:
            unit = _LARGE[piece]
            section += digits or 0
            total, section, digits = _times(total, section, unit), Fraction(0), None
        elif piece in _DIGITS:
            digits = Fraction(_DIGITS[piece])
        elif not piece.isspace():
            digits = _ascii(piece)
    value = total + section + (digits or 0)
    is_spoken = numeral[-1] in _DIGITS and numeral[-2] not in "零〇" and unit >= 100 and digits  # noqa: PLR2004
    return (total + section + digits * unit / 10, value) if is_spoken and digits else (value,)


def _times(total: Fraction, section: Fraction, unit: int) -> Fraction:
    return total + (section or 1) * unit if total == 0 or total >= unit else (total + section) * unit


def _ascii(piece: str) -> Fraction:
    """`1.5` in 1.5万, `1,200` in 1,200万."""
    head, mark, tail = piece.replace(",", ".").partition(".")
    if mark and ("," in piece and len(tail) == 3):  # noqa: PLR2004
        return Fraction(int(head + tail))
    return int(head) + (Fraction(int(tail), 10 ** len(tail)) if tail else Fraction(0))
