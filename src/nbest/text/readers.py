"""Reads a span that is a whole answer: choice, verdict, date, number, several numbers, mathematics or words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from math import isqrt
from typing import Final

import regex

from nbest.text import hangul
from nbest.text.answer import Answer
from nbest.text.answer_words import Convention, choice_readings, convention, currency_words
from nbest.text.dates import date_readings, time_reading
from nbest.text.normalise import bare, folded, normalised, plain_latex
from nbest.text.number import Number, as_share, distinct, number_key
from nbest.text.number_words import number_in_words
from nbest.text.numerals import number_at_start
from nbest.text.quantities import composite_value, several_reading
from nbest.text.quantity_words import anywhere, at_end, at_start, places_by_unit, words
from nbest.text.spelling import respelled, text_key

MAX_TEXT_CHARS: Final = 500
"""A longer span is no final answer in words."""
_MAX_UNIT_CHARS = 40
_MAX_UNIT_WORDS = 4

_CHOICE = regex.compile(
    r"(?:[(\[（【]\s?(?P<a>[^\s()\[\]]{1,3})\s?[)\]）】]|(?P<b>[^\s()\[\].,:]{1,3}?)(?P<c>[.):、،。]|\s?[–—](?=\s)|\s-(?=\s))?)(?:[\s,;،]|$)"
)
_ARTICLE = regex.compile(r"(?:(?:the|la|le|el|il|lo|die|der|das|το|η|ο|het)\s+|l'\s?)(?=\S)")
_CHOICE_TAIL = regex.compile(
    r"['’\s]?(?:d[iıuü]r|t[iıuü]r|şıkkı(?:dır)?|seçeneği(?:dir)?|项|項|选项|選項|번|번입니다|です|を選ぶ|ですね|이다|입니다|है|हैं|است|হবে)?[\s.。।]*"
)
_QUOTED_CHOICE = regex.compile(r"(?:の|:|,|-|–)?\s?[「『“\"«].{1,60}[」』”\"»](?:です|だ|である)?[\s.。]*")
_EQUATION = regex.compile(r"^[^=<>≤≥≠]{0,200}=(?![^=]*=)\s*")
_MATHS = regex.compile(
    r"\\\p{L}|(?:sin|cos|tan|log|ln|sqrt)\s?[(0-9]|[=^√π∞∑∫<>≤≥]|[\p{L}\p{N})]\s?[+*/·×]\s?[\p{L}\p{N}(\\]|^[(\[].*,.*[)\]]$|\{.*\}|^-?[0-9.]+\s?[abeijknpqruvwxyzα-ω](?![\p{L}])"
)
_WORD = regex.compile(
    r"(?<![\\\p{L}])(?!(?:sin|cos|tan|log|ln|exp|max|min|gcd|lcm|mod)(?!\p{L}))\p{L}[\p{L}\p{M}]+|[^\P{L}\p{Latin}\p{Greek}]"
)
_CLAUSE_END = regex.compile(r"[,.;:!。、،؛।—–]|\s-\s")
_EXPONENTS = regex.compile(r"\^\{?-?[0-9]\}?")
_NO_UNIT = regex.compile(r"[0-9=<>^+*,;:\\(\[](?!\p{L}+[)\]]$)")
_SPACES_AND_DOLLARS = regex.compile(r"\s+|\$")
_APPROXIMATELY = "≈~≃ "
_ORDINAL_BEFORE = regex.compile(r"(?:第|제)\s?(?=[0-9\p{Han}영공일이삼사오육칠팔구십])")
_NAME_OF_ORDINAL = regex.compile(r"[章节節条條页頁課课卷話集号號版次代世季期編篇장절화권]")
_ORDINAL_AFTER = regex.compile(
    r"(?:st|nd|rd|th|er|re|ère|e|ème|ième|º|ª|o|a|\.º|\.ª|-?(?:й|я|е|го|ої|ий|тя|ти|ша|та|ма)|ste|de|te|:a|:e|番目|位|번째|ที่)\.?(?![\p{L}])"
)
_GLUED = regex.compile(r"-?[\p{Latin}\p{Greek}\p{Cyrillic}]+")
_TITLE = regex.compile(
    r"\s+\p{Lu}[\p{Ll}’']+(?:\s+(?:of|the|and|de|of the|to|in|and the)?\s*\p{Lu}[\p{Ll}’']+)+"
)
_TRAILING_MINUS = regex.compile(r"\s?-\s*$")


def read(span: str, language: str | None = None) -> Answer | None:
    """The answer that `span` as a whole is; None for an empty one. Never raises."""
    return read_normalised(normalised(span), convention(language))


def read_normalised(span: str, conv: Convention) -> Answer | None:
    """`read` for text that is normalised already."""
    clean = bare(span)
    if not any(c.isalnum() for c in clean):
        return None
    return clean_reading(clean, conv) or words_reading(clean)


def clean_reading(clean: str, conv: Convention) -> Answer | None:
    """`clean` as anything but words; None where it is none of these. Remembers short ones, which pools repeat."""
    if len(clean) > MAX_TEXT_CHARS:
        return None
    return (_remembered if len(clean) <= _MAX_UNIT_CHARS else _reading)(clean, conv)


def _reading(clean: str, conv: Convention) -> Answer | None:
    plain = bare(plain_latex(clean))
    for reader in _READERS:
        if answer := reader(plain, conv):
            return answer
    if (m := _EQUATION.match(plain)) and (answer := _quantity(bare(plain[m.end() :]), conv)):
        return answer
    return _expression(clean, plain)


_remembered = lru_cache(maxsize=1 << 14)(_reading)


def words_reading(clean: str) -> Answer | None:
    """`clean` as words; None for what is too long to be an answer."""
    if len(clean) > MAX_TEXT_CHARS:
        return None
    return Answer(text=clean, kind="text", readings=(text_key(clean),))


def number_answer(text: str, number: Number, unit: str | None, *, is_share: bool) -> Answer:
    """A number as an answer; 50 percent may be meant as 50 or as 0.5."""
    values: tuple[Fraction, ...] = as_share(number.values, "%") if is_share else number.values
    return Answer(text=text.strip(), kind="number", readings=tuple(map(number_key, values)), unit=unit)


def _date(span: str, _conv: Convention) -> Answer | None:
    readings = date_readings(span)
    return Answer(text=span, kind="date", readings=readings) if readings else None


def _time(span: str, _conv: Convention) -> Answer | None:
    reading = time_reading(span)
    return Answer(text=span, kind="text", readings=(reading,)) if reading else None


def _choice(span: str, conv: Convention) -> Answer | None:
    """`B`, `(b)`, `B. Paris`, `Option ب`: a letter that stands alone or before its punctuation.

    With content behind it, the content is a reading too: `A: 18` may be the choice A, or 18 behind an "A" for
    "answer". A number comes first behind such a letter, the choice behind any other.
    """
    article = _ARTICLE.match(span)
    span = span[article.end() :] if article else span
    option = conv.options.match(span)
    span = span[option.end() :].strip() if option else span
    span = bare(span) if option else span
    found = [m for m in (_CHOICE.match(span), _with_tail(span)) if m and _letter(m) in choice_readings()]
    if not found:
        return None
    match, letter = found[0], _letter(found[0])
    readings = choice_readings()[letter]

    rest = span[match.end() :].strip()
    if not rest or _CHOICE_TAIL.fullmatch(rest) or _QUOTED_CHOICE.fullmatch(rest):
        return Answer(text=span, kind="choice", readings=readings)
    if match[0][-1] in ",;،":  # "option (A), because …" is a choice; "(a), (b)" is none
        return Answer(text=span, kind="choice", readings=readings) if option else None
    if not (match["a"] or match["c"]):
        return None
    return _with_content(span, letter, readings, bare(rest), conv)


def _letter(match: regex.Match[str]) -> str:
    return (match["a"] or match["b"]).upper()


def _with_tail(span: str) -> regex.Match[str] | None:
    """`B'dir`, `C입니다`, `Dです`: the letter, if grammar is all that follows."""
    match = _LETTER.match(span)
    if not match:
        return None
    is_grammar = _CHOICE_TAIL.fullmatch(span, match.end()) or _QUOTED_CHOICE.fullmatch(span, match.end())
    return match if is_grammar else None


_LETTER = regex.compile(
    r"(?:[(\[]\s?(?P<a>[^\s()\[\]]{1,3})\s?[)\]]|(?P<b>[A-Za-z])(?P<c>)(?=['’]|[^\p{Latin}\p{M}]))"
)
_ANSWER_LETTERS: Final = frozenset({"A", "ج", "O", "R", "П"})
"""What languages shorten "answer" to."""


def _with_content(
    span: str, letter: str, readings: tuple[str, ...], content: str, conv: Convention
) -> Answer | None:
    inner = clean_reading(content, conv)
    if inner and inner.kind == "choice":
        return inner if letter in _ANSWER_LETTERS else None
    if inner is None:
        inner = words_reading(content)
    if inner is None or len(content) > _MAX_CONTENT_CHARS:
        return Answer(text=span, kind="choice", readings=readings)
    if inner.kind == "number" and letter in _ANSWER_LETTERS:
        return Answer(
            text=content, kind="number", readings=_joined(inner.readings, readings), unit=inner.unit
        )
    return Answer(text=span, kind="choice", readings=_joined(readings, inner.readings))


_MAX_CONTENT_CHARS: Final = 200


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _verdict(span: str, conv: Convention) -> Answer | None:
    """A word for yes or no, alone or before a comma, full stop or dash."""
    end = _CLAUSE_END.search(span, 0, _MAX_UNIT_CHARS + 1)
    word = span[: end.start()] if end else span
    if len(word) > _MAX_UNIT_CHARS:
        return None
    verdict = conv.verdicts.get(text_key(word))
    if end and span[end.end() :].lstrip()[:1].isdigit() and end[0] == ".":
        return None  # No. 5
    return Answer(text=span, kind="verdict", readings=(verdict,)) if verdict else None


def _quantity(span: str, conv: Convention) -> Answer | None:
    """A number with at most a currency, a sign or "about" before it and a unit behind it."""
    rest, share = _without(conv.percent, span.lstrip(_APPROXIMATELY))
    rest, is_negative = _without_sign(rest, conv)
    rest, currency = _without(currency_words(), rest)
    ordinal = _ORDINAL_BEFORE.match(rest)
    rest = rest[ordinal.end() :] if ordinal else rest
    if ordinal and _NAME_OF_ORDINAL.search(rest):
        return None
    scale = conv.scale.match(rest) if conv.code == "sw" else None  # elfu 5
    rest = rest[scale.end() :].lstrip() if scale else rest
    number = _number_at_start(rest, conv)
    if number is None or (is_negative and any(v < 0 for v in number.values)):
        return None

    after, share_after = _without(conv.percent, rest[number.end :])
    if conv.is_right_to_left and _TRAILING_MINUS.fullmatch(after):
        after, is_negative = "", True
    number, after = _with_half(number, after)
    after, is_below_zero = _without_below_zero(after)
    unit = _unit(after, number, conv)
    if unit is None:
        return None
    if scale:
        factor = conv.scales[folded(scale[0])][0]
        number = replace(number, values=tuple(v * factor for v in number.values))
    if is_negative or is_below_zero:
        number = replace(number, values=tuple(-v for v in number.values))
    if conv.has_slash_decimals and (m := _SLASHED.fullmatch(rest[: number.end].strip())):
        decimal = Fraction(int(m[1] + m[2]), 10 ** len(m[2]))
        number = replace(number, values=distinct((*number.values, decimal)))
    is_share = bool(share or share_after)
    unit = "%" if is_share else number.unit or currency or unit or None
    return number_answer(span, number, unit, is_share=is_share)


def _with_half(number: Number, after: str) -> tuple[Number, str]:
    """`5 horas y media`, `2时半`: half of the unit more."""
    half = anywhere("half", "words").search(respelled(after))
    if half is None or (after[:1].isalpha() and number.values[0].denominator != 1):
        return number, after
    rest = respelled(after)[: half.start()] + respelled(after)[half.end() :]
    return replace(number, values=tuple(v + Fraction(1, 2) for v in number.values)), rest


def _number_at_start(text: str, conv: Convention) -> Number | None:
    found = hangul.fraction_at_start(text) or number_at_start(text, conv) or hangul.number_at_start(text)
    return found or number_in_words(text, conv.code)


def _without_sign(text: str, conv: Convention) -> tuple[str, bool]:
    """`text` without "about" and words for its sign before the number, and whether these make it negative."""
    rest, minus = _without(conv.minus, _without_about(text))
    if minus:
        return _without_about(rest), True
    for field, is_negative in (("below_zero", True), ("above_zero", False)):
        match = at_start("sign", field).match(rest)
        if match and match.end() < len(rest):
            return rest[match.end() :], is_negative
    return rest, False


def _without_about(text: str) -> str:
    """`text` without "about", "exactly", "a total of", the article."""
    for _ in range(_MAX_ABOUT):
        match = at_start("sign", "about").match(text)
        if match is None or match.end() == len(text):
            break
        text = text[match.end() :]
    return text


def _without_below_zero(after: str) -> tuple[str, bool]:
    key = respelled(after)
    below = at_end("sign", "below_zero").search(key)
    return (key[: below.start()], True) if below else (after, False)


def _without(pattern: regex.Pattern[str], text: str) -> tuple[str, str | None]:
    match = pattern.match(text)
    return (text[match.end() :].lstrip(), match[0].strip()) if match else (text, None)


def _unit(after: str, number: Number, conv: Convention) -> str | None:
    """What follows a number, if that is a unit: few words, no digits but exponents; None if it is more."""
    after = _EXPONENTS.sub("", after)
    ordinal = _ORDINAL_AFTER.match(after)
    if ordinal:
        after = after[ordinal.end() :]
    elif not _may_be_glued(after, number) or (conv.code != "de" and _TITLE.match(after)):
        return None

    after = after.strip(" .,;:-–'*")
    key = respelled(after)
    ends_in_bound = at_end("bound", "words").search(key) and not _IS_LATIN.search(key)
    if at_start("bound", "words").match(key) or ends_in_bound:
        return None
    if len(after) > _MAX_UNIT_CHARS or len(after.split()) > _MAX_UNIT_WORDS or _NO_UNIT.search(after):
        return None
    tail = max((t for t in conv.tails if after.endswith(t)), key=len, default="")
    return after.removesuffix(tail).strip(" '")


def _may_be_glued(after: str, number: Number) -> bool:
    """Whether the letters that touch a number are a unit: those of 5cm are, those of 3D, 2x, 7-Eleven and 1990s are not."""
    match = _GLUED.match(after)
    if not match:
        return True
    word = match[0]
    if word.startswith("-"):
        return False
    if len(word) > 1:
        return not word[0].isupper() or respelled(word) in places_by_unit() or word.isupper()
    is_decade = word == "s" and abs(number.values[0]) >= 100  # noqa: PLR2004
    return word in _ONE_LETTER_UNITS and not is_decade


def _expression(clean: str, plain: str) -> Answer | None:
    """Mathematics beyond a number: commands, operators or equations, and no sentence around them."""
    if _WORD.search(plain) or not _MATHS.search(plain):
        return None
    return Answer(
        text=clean,
        kind="expression",
        readings=(_SPACES_AND_DOLLARS.sub("", _RELATION.sub(lambda m: _RELATIONS[m[0]], plain)),),
    )


def _composite(span: str, conv: Convention) -> Answer | None:
    """A quantity in several units, as a number of the largest and of the smallest."""
    found = _feet_and_inches(span) or composite_value(span, conv)
    if found is None:
        return None
    values, unit = found
    return Answer(text=span, kind="number", readings=tuple(map(number_key, distinct(values))), unit=unit)


def _feet_and_inches(span: str) -> tuple[tuple[Fraction, ...], str] | None:
    match = _FEET_AND_INCHES.fullmatch(span)
    if not match or int(match[2]) >= _INCHES_OF_A_FOOT:
        return None
    inches = int(match[1]) * _INCHES_OF_A_FOOT + int(match[2])
    return (Fraction(inches, _INCHES_OF_A_FOOT), Fraction(inches)), "'"


_FEET_AND_INCHES = regex.compile(r"""([0-9]{1,2})'\s?([0-9]{1,2})(?:"|'')?""")
_INCHES_OF_A_FOOT: Final = 12


def _several(span: str, conv: Convention) -> Answer | None:
    """A range, a list of solutions, an interval, a remainder, a complex number."""
    reading = several_reading(span, conv)
    if reading is None:
        return None
    if conv.code is None and _MAY_BE_DECIMAL.fullmatch(span):
        return None
    return Answer(text=span, kind="text", readings=(reading,))


def _mixed(span: str, conv: Convention) -> Answer | None:
    """`1 and 3/4`, `1과 3/4`."""
    match = _MIXED.fullmatch(_without_about(span))
    if not match or respelled(match["and"]) not in words("between", "and"):
        return None
    units, parts, of = (int(match[name]) for name in ("units", "parts", "of"))
    if not parts < of:
        return None
    number = Number((units + Fraction(parts, of),), 0, match.start("after"))
    unit = _unit(match["after"], number, conv)
    return None if unit is None else number_answer(span, number, unit or None, is_share=False)


def _computed(span: str, _conv: Convention) -> Answer | None:
    """`√16`, `0x1F`, `101_2`: numbers in another notation, as what they are."""
    if m := _ROOT.fullmatch(span):
        root = isqrt(int(m[1] or m[2]))
        value = root if root * root == int(m[1] or m[2]) else None
    elif m := _HEXADECIMAL.fullmatch(span):
        value = int(m[1], 16)
    elif (m := _WITH_BASE.fullmatch(span)) and 2 <= int(m[2]) <= _MAX_BASE:  # noqa: PLR2004
        value = _in_base(m[1], int(m[2]))
    else:
        return None
    return None if value is None else Answer(text=span, kind="number", readings=(str(value),))


def _in_base(digits: str, base: int) -> int | None:
    try:
        return int(digits, base)
    except ValueError:
        return None


def _parenthesised(span: str, conv: Convention) -> Answer | None:
    match = _PARENTHESISED.fullmatch(span)
    return _quantity(match[1], conv) if match else None


_READERS: Final[tuple[Callable[[str, Convention], Answer | None], ...]] = (
    *(_date, _time, _choice, _verdict, _mixed, _composite, _several, _quantity, _parenthesised, _computed),
)
_MIXED = regex.compile(
    r"(?P<units>[0-9]{1,6})\s?(?P<and>[^0-9\s]{1,8})\s?(?P<parts>[0-9]{1,4})\s?/\s?(?P<of>[0-9]{1,4})(?P<after>[^0-9]*)"
)
_ROOT = regex.compile(r"(?:√|\\sqrt)\s?(?:\{([0-9]{1,30})\}|([0-9]{1,30}))")
_HEXADECIMAL = regex.compile(r"0[xX]([0-9a-fA-F]{1,30})")
_WITH_BASE = regex.compile(r"([0-9A-F]{1,60})_\{?([0-9]{1,2})\}?")
_MAX_BASE: Final = 36
_IS_LATIN = regex.compile(r"\p{Latin}$")
_RELATIONS: Final = {
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
_RELATION = regex.compile(r"\\(?:geq?|leq?|neq?|gt|lt|pi)(?!\p{L})|[<>!]=")
_MAX_ABOUT: Final = 3
_SLASHED = regex.compile(r"([0-9]+)/([0-9]+)")
_MAY_BE_DECIMAL = regex.compile(r"[0-9]+[.,][0-9]+")
_PARENTHESISED = regex.compile(r"\(\s*([^(),;]{1,60})\s*\)")
_ONE_LETTER_UNITS: Final = frozenset("gmhslLNJWVAKCFtdkMB%тгмсчл")
