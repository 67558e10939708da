"""Chinese and Japanese numerals: 一百二十, 3万5千, 百分之五, 4分の3, 一又四分之三, 2割5分."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import regex

from nbest.text.number import Number, as_share

_DIGITS = {
    c: i
    for i, forms in enumerate(
        ("〇零", "一壹壱弌", "二贰貳弐两兩", "三叁參参", "四肆", "五伍", "六陆陸", "七柒漆", "八捌", "九玖")
    )
    for c in forms
}
_TENS = {"廿": 20, "卅": 30, "卌": 40}
_SMALL = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE = {"万": 10**4, "萬": 10**4, "億": 10**8, "亿": 10**8, "兆": 10**12}

_A = r"[0-9]{1,50}(?:[.,][0-9]{1,50})?"
_D = f"[{''.join(_DIGITS)}]"
_T = f"[{''.join(_TENS)}]"
_U = f"[{''.join(_SMALL)}{''.join(_LARGE)}](?![克米瓦卡])"  # 千克 is a kilogram
_NUMERAL = rf"(?:{_T}{_D}?|(?:(?:{_A}\s?|[零〇]?{_D})?{_U}){{1,20}}(?:[零〇]?(?:{_D}|{_A}))?|{_D}{{2,50}})"
_WHOLE = rf"(?:{_NUMERAL}|{_D}|{_A})"
_TOKEN = regex.compile(
    rf"(?P<sign>[负負-])?(?:(?:(?P<units>{_WHOLE})(?:又|と|と\s))?(?P<parts>{_WHOLE})分[之の](?P<of>{_WHOLE}(?:[点點]{_D}{{1,50}})?)"
    rf"|(?P<tenths>{_WHOLE})(?:割(?:(?P<hundredths>{_WHOLE})分)?|成)(?!\p{{Han}})"
    rf"|(?P<whole>{_NUMERAL}|{_D})(?:[点點](?P<decimals>(?:{_D}|[0-9]){{1,50}}))?|(?P<half>半)(?=[个個只隻张張斤公块塊年天小时時杯瓶打]))"
)
_IN_TEXT = regex.compile(rf"(?<![\p{{Han}}]{_D})(?:{_NUMERAL})")
_PIECE = regex.compile(rf"{_A}|.")

_UNITS: Final = (
    "元|圆|圓|円|块|塊|角|毛|分|厘|銭|钱|錢|美元|美金|美分|欧元|歐元|日元|英镑|卢比|岁|歳|才|年|月|日|天|周|週|星期|时|時|点|點|小时|小時|"
    "時間|分钟|分鐘|分間|秒|秒钟|秒鐘|秒間|週間|日間|年間|米|公里|千米|厘米|毫米|公分|克|千克|公斤|斤|两|吨|噸|升|毫升|度|倍|次|回|遍|成|割|折|"
    "ドル|ユーロ|ポンド|セント|キロ|メートル|センチ|グラム|リットル|パーセント|人|名|位|口|头|頭|匹|羽|番|番目|等|级|級|号|號|步|歩|行|列|题|題|问|問|"
    "字|句|段|章|篇|首|步|층|平方米|平方厘米|平方公里|立方米|平方メートル|立方メートル|分之一|万円|万元|つ|人々"
)
_COUNTERS: Final = (
    "个|個|箇|只|隻|支|枝|枚|本|冊|册|张|張|条|條|件|种|種|页|頁|辆|輛|台|架|棵|朵|杯|瓶|碗|盒|箱|袋|包|片|粒|颗|顆|滴|层|層|楼|階|组|組|班|队|隊|"
    "场|場|局|幅|套|双|雙|对|對|副|根|座|栋|棟|间|間|家|户|戶|所|门|門|名|位|こ|ヶ|か|か所|皿|切れ|玉|束|串|打|份|笔|筆|批|群|串|把|課|课"
)
_SUFFIX = r"(?:です|だ|である|になります|となります|でした|ですね|了|整|人|钱|錢|半)?"
_AFTER = regex.compile(
    rf"\s*(?:$|[^\p{{L}}\p{{M}}]|(?:{_UNITS}){_SUFFIX}(?!\p{{L}})|(?:{_COUNTERS})\p{{L}}{{0,8}}(?!\p{{L}})|\p{{Latin}}|{_SUFFIX}$)"
)
_FRACTION_AFTER = regex.compile(r"\s?(?:个|個|つ|的|の)")


def number_at_start(text: str) -> Number | None:
    """The numeral that `text` begins with, written without or with ASCII digits between the units.

    三角形, 四国 and 千葉 begin with none: a unit, a counter or the end must follow.
    """
    match = _TOKEN.match(text)
    if match is None or not _ends_well(match):
        return None
    return _number(match)


def _ends_well(match: regex.Match[str]) -> bool:
    if match["parts"] or match["tenths"] or match["half"]:
        return True
    return bool(_AFTER.match(match.string, match.end()))


def followed_by_unit(ascii_match: regex.Match[str]) -> Number | None:
    """`3万5千`, where ASCII digits begin a numeral with units; `100分の5` and `2割5分` too."""
    text, start = ascii_match.string, ascii_match.start("numeral")
    after = text[ascii_match.end() : ascii_match.end() + 2].lstrip()[:1]
    if not after or (after not in _SMALL and after not in _LARGE and after not in "分割又と"):
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
    for start in reversed(starts[-8:]):
        match = _TOKEN.match(text, start)
        if match and _ends_well(match):
            return _number(match)
    return None


def in_digits(text: str) -> str:
    """`text` with its numerals in ASCII digits: `3小时30分` of 三小时三十分."""
    return _TOKEN.sub(_digits_of, text)


def _digits_of(match: regex.Match[str]) -> str:
    if not match["whole"]:
        return match[0]
    number = _number(match)
    if number is None or number.values[0].denominator != 1:
        return match[0]
    return str(number.values[0].numerator)


def _number(match: regex.Match[str]) -> Number | None:
    unit = None
    if match["half"]:
        values: tuple[Fraction, ...] = (Fraction(1, 2),)
    elif match["tenths"]:
        hundredths = _value(match["hundredths"])
        values, unit = as_share(tuple(v * 10 + hundredths for v in _values(match["tenths"])), "%"), "%"
    elif match["whole"]:
        values = _values(match["whole"])
        if match["decimals"]:
            values = tuple(v + _decimals(match["decimals"]) for v in values)
    else:
        found = _fraction(match)
        if found is None:
            return None
        values, unit = found
    if match["sign"]:
        values = tuple(-v for v in values)
    return Number(values, match.start(), match.end(), unit)


def _fraction(match: regex.Match[str]) -> tuple[tuple[Fraction, ...], str | None] | None:
    whole, _, decimals = match["of"].replace("點", "点").partition("点")
    parts = _values(match["parts"])[0]
    if not parts:
        return None
    values = tuple(v + _decimals(decimals) for v in _values(whole))
    units = _value(match["units"])
    if parts == 100 and not units:  # noqa: PLR2004
        return as_share(values, "%"), "%"
    return tuple(units + v / parts for v in values), None


def _decimals(digits: str) -> Fraction:
    plain = "".join(str(_DIGITS.get(c, c)) for c in digits)
    return Fraction(int(plain or "0"), 10 ** len(plain))


def _value(numeral: str | None) -> Fraction:
    """The likeliest meaning; 0 without a numeral."""
    return _values(numeral)[0] if numeral else Fraction(0)


def _values(numeral: str) -> tuple[Fraction, ...]:
    """What a numeral means; 三万五 is 35000 as spoken in Chinese and 30005 as written in Japanese."""
    if all(c in _DIGITS for c in numeral):
        return (Fraction(int("".join(str(_DIGITS[c]) for c in numeral))),)
    total, section, digits, unit = Fraction(0), Fraction(0), None, 1
    for piece in _PIECE.findall(numeral):
        if piece in _TENS:
            section, unit = section + _TENS[piece], 10
        elif piece in _SMALL:
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
    is_digit = numeral[-1] in _DIGITS or regex.search(r"[^0-9.,\s][0-9]$", numeral) is not None
    is_spoken = is_digit and numeral[-2] not in "零〇" and unit >= 100 and digits  # noqa: PLR2004
    if not is_spoken or not digits:
        return (value,)
    return (total + section + digits * unit / 10, value)


def _times(total: Fraction, section: Fraction, unit: int) -> Fraction:
    if total == 0 or total >= unit:
        return total + (section or 1) * unit
    return (total + section) * unit


def _ascii(piece: str) -> Fraction:
    """`1.5` in 1.5万, `1,200` in 1,200万."""
    head, mark, tail = piece.replace(",", ".").partition(".")
    if mark and ("," in piece and len(tail) == 3):  # noqa: PLR2004
        return Fraction(int(head + tail))
    return int(head) + Fraction(int(tail or "0"), 10 ** len(tail))
