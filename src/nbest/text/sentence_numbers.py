"""Which number of a sentence is its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import regex

from nbest.text import cjk
from nbest.text.answer import Answer, number_answer, words_answer
from nbest.text.answer_words import Convention
from nbest.text.dates import DMY, HAN, WORDED, YMD, date_readings
from nbest.text.normalise import bare, plain_latex, same_length_casefold
from nbest.text.number import Number
from nbest.text.numerals import numbers_in
from nbest.text.quantity_words import currency_by_word, is_money, phrases, unit_at_start, written_phrases
from nbest.text.readers import clean_reading
from nbest.text.sentences import MAX_SHORT_CHARS, predicate, without_copula
from nbest.text.spelling import respelled
from nbest.text.widening import widened, without_dollars
from nbest.types import replace

_TAIL_CHARS: Final = 60
"""How far before the last digit a line is read first: further than a number or a date reaches."""
_WINDOW_CHARS: Final = 40
"""How much of what stands before and behind a number says what it is for."""
_MAX_COUNTER_CHARS: Final = 8
_MAX_LINE_CHARS: Final = 2000
_MAX_SENTENCE_CHARS: Final = 400

_YEAR = re.compile(r"[0-9]{4}")
"""Without it there is no date."""
_BOLD = regex.compile(r"\*\*([^*\n]{1,100})\*\*")
_TRAILING_ASIDE = regex.compile(r"(?<=[0-9][^()\n]{0,40})[(（][^()（）\n]{1,80}[)）][\s.。]*$")
_LAST_SENTENCE = regex.compile(r"(?:(?<=\p{L}|[)\]*\"”%])[.!?]\s+|[。！？।؟]\s*)(?=[^0-9]{0,300}[0-9])")
_EQUALS = regex.compile(r"[=≈＝][\s*_$\\(]{0,6}\p{Sc}?\s?-?$")
_RATE = regex.compile(r"\s*(?:per|each|apiece|pro|je|par\s|por\s|за|/)(?!\p{L})")
_FACTOR = regex.compile(r"[π√]|\\(?:pi|sqrt)|[xyzn](?![\p{L}\p{M}])")
_MAY_BE_NAME = regex.compile(r"[*_\"“«„'‘]|\p{Lu}\p{Ll}{2,}\s[0-9]|[0-9](?::\s\p{Lu}|\s\p{Lu}\p{Ll})")
_NAME_WITH_NUMBER = regex.compile(
    r"(?:[*_\"“«„'‘]{1,2})(?=[^\n]{0,60}\p{L}{2})[^\n*\"”»“’]{1,80}[*_\"”»“'’]{1,2}\W{0,3}"
    r"|(?:\p{Lu}\p{Ll}[\p{Ll}’'-]+\s){1,4}[0-9]{1,4}[.!]?"
    r"|[0-9]{1,4}(?:\s\p{Lu}[\p{Ll}’'-]+){2,6}[.!]?|[0-9]{1,4}:\s\p{Lu}.{1,60}"
)
"""A title between quotes or stars, "Apollo 13", "12 Angry Men", "2001: A Space Odyssey"."""
_CLOCK = regex.compile(r"(?<![0-9:])[0-9]{1,2}:[0-5][0-9](?![0-9:])")
_DIGITS = regex.compile("[0-9]+")
_IS_LATIN = regex.compile(r"\p{Latin}")

_ORDINAL_NAME = regex.compile(r"(?:第|제)\s?[0-9]+\s?\p{L}")
_NAME_BEFORE = regex.compile(r"(?:(?:of|the|de|du|la|von|der)\s|\p{Lu}[\p{L}\p{M}’'.-]*\s){1,5}")
_SHORT_NAME_BEFORE = regex.compile(r"\p{Lu}\p{Ll}{1,3}\s")
"""An article before the number of a title: "Les 400 Coups"."""
_CAPITALISED = regex.compile(r"\s*\p{Lu}\p{Ll}")
_GLUED_NAME = regex.compile(
    r"-?\p{Lu}\p{Ll}*|-\p{L}|[a-z](?![\p{L}\p{M}.])|\s\p{Lu}[\p{Ll}’']+\s\p{Lu}[\p{Ll}’']+"
)


def marked_phrase(clean: str, conv: Convention) -> Answer | None:
    """A phrase around numbers, behind a word for "answer": a number where it is plain which, else the phrase.

    Of several numbers, those that others depend on ("for 9 eggs") are none. Then a lone amount of money
    is the answer, or the number that the phrase begins with. A bound ("less than 5") is no number, nor is
    what ends a name ("World War 2") or stands in one ("12 Angry Men"). None where there is no number.
    """
    line = plain_latex(clean)
    numbers = _numbers(line, conv)
    if not numbers:
        return None
    found = None if _is_no_number(line, numbers) else _plain_choice(line, numbers, conv)
    if found is None:
        whole = widened(line, numbers[-1].start, numbers[-1].end, conv)
        return whole if whole and whole.is_in_parts else words_answer(without_copula(clean, conv))
    answer = _as_answer(line, found, conv)
    # The whole phrase stays at hand, for a gold answer in the same words.
    return replace(answer, text=clean) if answer and len(clean) <= MAX_SHORT_CHARS else answer


def _plain_choice(line: str, numbers: Sequence[Number], conv: Convention) -> Number | None:
    """The number that is plainly meant, if there is one."""
    equated = [n for n in numbers if _EQUALS.search(line[: n.start])]
    free = [n for n in numbers if not _is_given(line, n, conv)] or list(numbers)
    paid = [n for n in free if _is_paid(line, n)]
    if len(free) == 1:
        return free[0]
    if equated:
        return equated[-1]
    if len(paid) == 1:
        return paid[0]
    return numbers[0] if _begins_with(line, numbers[0]) else None


def sentence_number(line: str, conv: Convention) -> Answer | None:
    """The number of a sentence that nothing marks: in bold, behind the last "=", else the last that others do
    not depend on. Of several sentences the last with a digit is read."""
    if "(" in line:
        line = _TRAILING_ASIDE.sub("", line)
    bold = [b for b in _BOLD.findall(line) if any(c.isdigit() for c in b)]
    if bold:
        clean = bare(bold[-1])
        return clean_reading(clean, conv) or last_number(clean, conv)

    line = _last_sentence(plain_latex(without_dollars(line)))
    numbers = sorted([*_numbers(line, conv), *_clocks(line)], key=lambda n: n.start)
    if not numbers:
        return _last_quantity(line, conv) or last_number(line, conv)
    if len(numbers) == 1 and _ends_in_name(line, conv):
        return predicate(line, conv)
    equated = [n for n in numbers if _EQUALS.search(line[: n.start])]
    free = [n for n in numbers if not _is_given(line, n, conv)] or list(numbers)
    return _as_answer(line, (equated or free)[-1], conv)


def _ends_in_name(line: str, conv: Convention) -> bool:
    """Whether a sentence with one number says that something is a name with a number in it: "It was Apollo 13."."""
    if conv.code == "de" or not _MAY_BE_NAME.search(line):
        return False
    copulas = list(conv.copulas.finditer(same_length_casefold(line)))
    if not copulas:
        return False
    behind = line[copulas[-1].end() :].strip()
    return _NAME_WITH_NUMBER.fullmatch(behind) is not None and not _begins_with_unit(behind)


def _begins_with_unit(phrase: str) -> bool:
    """Whether a currency, unit or word for "option" stands before the number: "Rupees 45"."""
    word = respelled(phrase.split(maxsplit=1)[0])
    return unit_at_start(word) is not None or word in currency_by_word()


def _clocks(line: str) -> Sequence[Number]:
    """Where times of day stand, as numbers without a value."""
    return [Number((), m.start(), m.end()) for m in _CLOCK.finditer(line[:_MAX_SENTENCE_CHARS])]


def _last_quantity(line: str, conv: Convention) -> Answer | None:
    """What the last digits of a line belong to, if that is a date, a time or another whole."""
    found = list(_DIGITS.finditer(line))
    return widened(line, found[-1].start(), found[-1].end(), conv) if found else None


def _last_sentence(line: str) -> str:
    line = line[-_MAX_LINE_CHARS:]
    ends = [match.end() for match in _LAST_SENTENCE.finditer(line)]
    return line[max(ends, default=0) :]


def last_number(line: str, conv: Convention) -> Answer | None:
    """The last number of a line, dates left out; a CJK numeral only where there are no digits."""
    line = plain_latex(line)
    begin = max(map(line.rfind, "0123456789")) - _TAIL_CHARS
    found = _last(line, conv, begin) if begin > 0 else None
    if found is None or found.start < begin + _TAIL_CHARS // 2:  # none there, or one that may begin before
        found = _last(line, conv, 0)
    return None if found is None else _as_answer(line, found, conv)


def _last(line: str, conv: Convention, begin: int) -> Number | None:
    dates = _dates(line, begin)
    found = None
    for number in numbers_in(line, conv, start=begin):
        if not _is_inside(number, dates):
            found = number
    if found or dates or begin:
        return found
    return cjk.last_in(line)


def _numbers(line: str, conv: Convention) -> Sequence[Number]:
    """The numbers of a line that is no longer than a sentence; dates left out."""
    if len(line) > _MAX_SENTENCE_CHARS:
        return ()
    dates = _dates(line, 0)
    return [n for n in numbers_in(line, conv) if not _is_inside(n, dates)]


def _is_inside(number: Number, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= number.start < end for start, end in spans)


def _dates(line: str, begin: int) -> Sequence[tuple[int, int]]:
    if not _YEAR.search(line, begin):
        return ()
    numeric = [m.span() for pattern in (YMD, DMY, HAN) for m in pattern.finditer(line, begin)]
    # "3 days, 2600 apples" looks like one, but names no month
    return numeric + [m.span() for m in WORDED.finditer(line, begin) if date_readings(m[0])]


def _as_answer(line: str, found: Number, conv: Convention) -> Answer | None:
    whole = widened(line, found.start, found.end, conv)
    if whole is not None:
        return whole
    if not found.values:
        return clean_reading(line[found.start : found.end], conv) or words_answer(line)
    if _FACTOR.match(line, found.end):  # 25π is not 25
        answer = clean_reading(bare(line[found.start :].split(maxsplit=1)[0]), conv)
        if answer and answer.kind == "expression":
            return answer
    after = line[found.end : found.end + _WINDOW_CHARS]
    unit = found.unit
    if conv.percent.match(after):
        unit = "%"
    elif unit == "$" and after[:1] == "$":  # of LaTeX, and no dollar
        unit = None
    return number_answer(line[found.start : found.end], found, unit)


def _before(line: str, number: Number) -> str:
    return respelled(line[max(0, number.start - _WINDOW_CHARS) : number.start])


def _behind(line: str, number: Number) -> str:
    return respelled(line[number.end : number.end + _WINDOW_CHARS])


def _is_given(line: str, number: Number, conv: Convention) -> bool:
    """Whether a number is what the answer depends on: "for 9 eggs", "out of 12", "5 per hour"."""
    before = _before(line, number)
    if phrases("sign", "total").start_at_end(before.rstrip(" *_$€£:(")) is not None:
        return False
    if _RATE.match(line, number.end):
        return True
    space = "" if before.endswith("(") else " "
    return conv.given.search(before + space) is not None


def _is_paid(line: str, number: Number) -> bool:
    """Whether a number is an amount of money, by a sign or word beside it."""
    if number.unit and is_money(number.unit):
        return True
    behind = unit_at_start(_behind(line, number))
    if behind and is_money(behind[0]):
        return True
    before = _before(line, number).split()
    return bool(before) and is_money(before[-1])


def _begins_with(line: str, number: Number) -> bool:
    return not any(c.isalnum() for c in line[: number.start])


def _is_no_number(line: str, numbers: Sequence[Number]) -> bool:
    """Whether a phrase says a bound, or names something that has a number in its name."""
    first = numbers[0]
    begins_name = _begins_with(line, first) and _GLUED_NAME.match(line, first.end)
    is_name = begins_name or _is_name(line, numbers) or _ORDINAL_NAME.match(line)
    return bool(is_name) or any(_is_bound(line, n) for n in numbers)


def _is_bound(line: str, number: Number) -> bool:
    """Whether a number is what the answer is less or more than."""
    behind = _behind(line, number)
    inside = phrases("bound", "words").first(behind[:_MAX_COUNTER_CHARS])
    if inside and not _IS_LATIN.match(behind, inside[0]):  # 5個以上
        return True
    if written_phrases("bound", "words").end_at(behind) is not None:
        return True
    before = _before(line, number).rstrip(" $€£*(")
    return phrases("bound", "words").start_at_end(before) is not None


def _is_name(line: str, numbers: Sequence[Number]) -> bool:
    """Whether a lone number ends a name in capitals, or stands in one behind its article."""
    if len(numbers) != 1:
        return False
    before, behind = line[: numbers[0].start], line[numbers[0].end :]
    if _SHORT_NAME_BEFORE.fullmatch(before) and _CAPITALISED.match(behind):
        return True
    ends = not behind.strip(" .。")
    return ends and _NAME_BEFORE.fullmatch(before) is not None
