"""The answer of a sentence that says more than the answer: which of its numbers, and which of its words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import regex

from nbest.text import cjk
from nbest.text.answer import Answer
from nbest.text.answer_words import Convention, choice_readings
from nbest.text.dates import DMY, HAN, WORDED, YMD, date_readings
from nbest.text.normalise import bare, plain_latex
from nbest.text.number import Number
from nbest.text.numerals import numbers_in
from nbest.text.quantity_words import anywhere, at_end, at_start, is_money, unit_at_start
from nbest.text.readers import clean_reading, number_answer, words_reading
from nbest.text.spelling import respelled, text_key
from nbest.types import replace

MAX_SHORT_CHARS: Final = 100
"""A text or marked line up to this length may be an answer in words."""
_TAIL_CHARS: Final = 60
"""How far before the last digit a line is read first: further than a number or a date reaches."""
_WINDOW_CHARS: Final = 40
"""How much of what stands before and behind a number says what it is for."""
_MAX_UNIT_CHARS: Final = 40
_MAX_PREDICATE_WORDS: Final = 6
_MAX_COUNTER_CHARS: Final = 8
_MIN_VERDICT_CHARS: Final = 4

_YEAR = re.compile(r"[0-9]{4}")
"""Without it there is no date."""
_SENTENCE_END = regex.compile(r"[.!?](?=\s|$|\p{Lo})|[。！？।؟]|\s\(|[,，،;](?=\s)")
_REASON = regex.compile(
    r",?\s(?:because|since|as\s|weil|da\s|denn|car\s|parce que|puisque|porque|ya que|pois|perché|poiché|потому что|так как|тому що|бо\s|لأن|زیرا|چون|"
    r"क्योंकि|কারণ|ఎందుకంటే|karena|sebab|vì\s|bởi vì|çünkü|omdat|ponieważ|bo\s|protože|deoarece|pentru că|διότι|γιατί|επειδή|כי\s|kwa sababu)|[,，]?\s?(?:因为|因為|なぜなら|เพราะ|왜냐하면)"
)
_TRAILING_ASIDE = regex.compile(r"(?<=[0-9][^()\n]{0,40})[(（][^()（）\n]{1,80}[)）][\s.。]*$")
_LAST_SENTENCE = regex.compile(r"(?:(?<=\p{L}|[)\]*\"”%])[.!?]\s+|[。！？।؟]\s*)(?=[^0-9]{0,300}[0-9])")
_BOLD = regex.compile(r"\*\*([^*\n]{1,100})\*\*")
_NAME_BEFORE = regex.compile(r"(?:(?:of|the|de|du|la|von|der)\s|\p{Lu}[\p{L}\p{M}’'.-]*\s){1,5}$")
_ORDINAL_NAME = regex.compile(r"(?:第|제)\s?[0-9]+\s?\p{L}")
_EQUALS = regex.compile(r"[=≈＝][\s*_$\\(]{0,6}\p{Sc}?\s?-?$")
_RATE = regex.compile(r"\s*(?:per|each|apiece|pro|je|par\s|por\s|за|/)(?!\p{L})")


def first_clause(clean: str, conv: Convention) -> Answer | None:
    """`42. Because …`, `18 dollars (9 × 2)`, `C because …`: an answer that goes before its reasons."""
    reason = _REASON.search(clean, 0, 2 * MAX_SHORT_CHARS)
    if reason and (answer := clean_reading(bare(clean[: reason.start()]), conv)):
        return answer
    end = _SENTENCE_END.search(clean, 0, MAX_SHORT_CHARS)
    answer = clean_reading(bare(clean[: end.start()]), conv) if end else None
    if answer is None and end and end[0].strip() in "。！？।؟.!?":
        answer = clean_reading(without_copula(clean[: end.start()], conv), conv)
    is_short = answer is not None and answer.kind in {"number", "choice", "verdict"}
    return answer if is_short else None


def without_copula(clean: str, conv: Convention) -> str:
    """`clean` without the copula that some languages put at the end, and the quotes around the rest."""
    found = conv.ends_with_copula.search(clean)
    if found and found.start() > 0:
        clean = clean[: found.start()]
    return bare(clean)


def marked_phrase(clean: str, conv: Convention) -> Answer | None:
    """A phrase around numbers, behind a word for "answer": a number where it is plain which, else the phrase.

    Of several numbers, those that others depend on ("for 9 eggs") are none. Then a lone amount of money
    is the answer, or the number that the phrase begins with. A bound ("less than 5") is no number, nor is
    what ends a name ("World War 2") or stands in one ("12 Angry Men").
    """
    line = plain_latex(clean)
    numbers = _numbers(line, conv)
    if not numbers:
        return None
    begins = _begins_with(line, numbers[0])
    if any(_is_bound(line, n) for n in numbers) or _is_name(line, numbers) or _ORDINAL_NAME.match(line):
        return words_reading(clean)

    equated = [n for n in numbers if _EQUALS.search(line[: n.start])]
    free = [n for n in numbers if not _is_given(line, n, conv)] or list(numbers)
    paid = [n for n in free if _is_paid(line, n)]
    if len(free) == 1:
        found = free[0]
    elif equated:
        found = equated[-1]
    elif len(paid) == 1:
        found = paid[0]
    elif begins:
        found = numbers[0]
    else:
        return words_reading(clean)
    if found.start == numbers[0].start and begins and not _is_quantity(line, found):
        return words_reading(clean)
    answer = _as_answer(line, found, conv)
    # The whole phrase stays at hand, for a gold answer in the same words.
    return replace(answer, text=clean) if len(clean) <= MAX_SHORT_CHARS else answer


def sentence_number(line: str, conv: Convention) -> Answer | None:
    """The number of a sentence that nothing marks: in bold, behind the last "=", else the last that others do
    not depend on. Of several sentences the last with a digit is read."""
    if "(" in line:
        line = _TRAILING_ASIDE.sub("", line)
    bold = [b for b in _BOLD.findall(line) if any(c.isdigit() for c in b)] if "**" in line else []
    if bold:
        clean = bare(bold[-1])
        return clean_reading(clean, conv) or last_number(clean, conv)

    line = _last_sentence(plain_latex(line))
    numbers = _numbers(line, conv)
    if not numbers:
        return last_number(line, conv)
    equated = [n for n in numbers if _EQUALS.search(line[: n.start])]
    free = [n for n in numbers if not _is_given(line, n, conv)] or list(numbers)
    return _as_answer(line, (equated or free)[-1], conv)


def _last_sentence(line: str) -> str:
    line = line[-2000:]
    end = 0
    for match in _LAST_SENTENCE.finditer(line):
        end = match.end()
    return line[end:]


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
        if not any(start <= number.start < end for start, end in dates):
            found = number
    return found or (None if dates or begin else cjk.last_in(line))


def _numbers(line: str, conv: Convention) -> Sequence[Number]:
    """The numbers of a line that is no longer than a sentence; dates left out."""
    if len(line) > 4 * MAX_SHORT_CHARS:
        return ()
    dates = _dates(line, 0)
    return [n for n in numbers_in(line, conv) if not any(a <= n.start < b for a, b in dates)]


def _dates(line: str, begin: int) -> list[tuple[int, int]]:
    if not _YEAR.search(line, begin):
        return []
    numeric = [m.span() for pattern in (YMD, DMY, HAN) for m in pattern.finditer(line, begin)]
    # "3 days, 2600 apples" looks like one, but names no month
    return numeric + [m.span() for m in WORDED.finditer(line, begin) if date_readings(m[0])]


def _as_answer(line: str, found: Number, conv: Convention) -> Answer:
    after = line[found.end : found.end + _MAX_UNIT_CHARS]
    share = conv.percent.match(after)
    unit = found.unit if found.unit != "$" or after[:1] != "$" else None
    if _FACTOR.match(line, found.end):  # 25π is not 25
        token = bare(line[found.start :].split(maxsplit=1)[0])
        answer = clean_reading(token, conv)
        if answer and answer.kind == "expression":
            return answer
    return number_answer(line[found.start : found.end], found, "%" if share else unit, is_share=bool(share))


_FACTOR = regex.compile(r"[π√]|\\(?:pi|sqrt)|[xyzn](?![\p{L}\p{M}])")


def _is_given(line: str, number: Number, conv: Convention) -> bool:
    """Whether a number is what the answer depends on: "for 9 eggs", "out of 12", "5 per hour"."""
    before = respelled(line[max(0, number.start - _WINDOW_CHARS) : number.start])
    if at_end("sign", "total").search(before.rstrip(" *_$€£:(")):
        return False
    if _RATE.match(line, number.end):
        return True
    return conv.given.search(before + ("" if before.endswith("(") else " ")) is not None


def _is_bound(line: str, number: Number) -> bool:
    """Whether a number is what the answer is less or more than."""
    before = respelled(line[max(0, number.start - _WINDOW_CHARS) : number.start]).rstrip(" $€£*(")
    behind = respelled(line[number.end : number.end + _WINDOW_CHARS])
    inside = anywhere("bound", "words").search(behind[:_MAX_COUNTER_CHARS])
    if inside and not regex.match(r"\p{Latin}", inside[0]):  # 5個以上
        return True
    return (
        at_end("bound", "words").search(before) is not None
        or at_start("bound", "words").match(behind) is not None
    )


def _is_paid(line: str, number: Number) -> bool:
    """Whether a number is an amount of money, by a sign or word beside it."""
    if number.unit and is_money(number.unit):
        return True
    behind = unit_at_start().match(respelled(line[number.end : number.end + _WINDOW_CHARS]))
    before = respelled(line[max(0, number.start - _WINDOW_CHARS) : number.start]).split()
    return bool(behind and is_money(behind["unit"])) or bool(before and is_money(before[-1]))


def _begins_with(line: str, number: Number) -> bool:
    return not any(c.isalnum() for c in line[: number.start])


def _is_quantity(line: str, number: Number) -> bool:
    """Whether what touches a number may be its unit: "3D", "7-Eleven" and "12 Angry Men" are no quantities."""
    following = line[number.end : number.end + _MAX_UNIT_CHARS]
    return not _GLUED_NAME.match(following)


_GLUED_NAME = regex.compile(
    r"-?\p{Lu}\p{Ll}*|-\p{L}|[a-z](?![\p{L}\p{M}.])|\s\p{Lu}[\p{Ll}’']+\s\p{Lu}[\p{Ll}’']+"
)


_NUMBER_IN_NAME = regex.compile(r"\p{Lu}\p{Ll}{1,3}\s")
"""An article before the number of a title: "Les 400 Coups"."""


def _is_name(line: str, numbers: Sequence[Number]) -> bool:
    """Whether a lone number ends, or stands in, a name: capitalised words, or few words of a script without capitals."""
    if len(numbers) != 1:
        return False
    before, behind = line[: numbers[0].start], line[numbers[0].end :].strip(" .。")
    if _NUMBER_IN_NAME.fullmatch(before) and regex.match(r"\s*\p{Lu}\p{Ll}", line[numbers[0].end :]):
        return True
    if behind or not before.strip():
        return False
    return _NAME_BEFORE.fullmatch(before) is not None


def lone_choice(sentence: str, conv: Convention) -> Answer | None:
    """The one letter of a sentence on options: "Option B is correct", "Bが正解です"."""
    key = respelled(sentence)
    speaks_of_options = any(m in key for m in conv.markers) or conv.options.search(key)
    says_right = any(
        word in key
        for word, verdict in conv.verdicts.items()
        if verdict == "yes" and len(word) >= _MIN_VERDICT_CHARS
    )
    if len(sentence) > MAX_SHORT_CHARS or not (speaks_of_options or says_right):
        return None
    letters = [m[1] or m[2] for m in _LETTER_ALONE.finditer(sentence) if not _is_article(m, sentence)]
    letters = [letter for letter in letters if letter in choice_readings()]
    return clean_reading(letters[0], conv) if len(letters) == 1 else None


_LETTER_ALONE = regex.compile(
    r"(?<![\p{L}\p{M}\p{N}'’])[(]?(\p{Lu}|\p{Lo}\p{M}?)[)]?(?![\p{L}\p{M}\p{N}'’]|[.]\p{L})|(?<![\p{Latin}\p{N}])[(]?([A-Z])[)]?(?=[\p{Han}\p{Hiragana}\p{Hangul}])"
)


def _is_article(match: regex.Match[str], sentence: str) -> bool:
    """Whether a letter that begins a sentence is a word: "A", Italian "È", Greek "Η"."""
    return (
        match.start() == 0
        and sentence[1:2] == " "
        and match[1] in {"A", "I", "O", "E", "Y", "Η", "Ο", "И", "А", "В", "О", "С"}
        and not sentence[2:5].startswith(("is ", "ist", "es ", "est"))
    )


def predicate(sentence: str, conv: Convention) -> Answer | None:
    """What a sentence without digits says of its subject ("Paris" of "The capital of France is Paris."), in words.

    Its readings are the predicate, then the whole sentence. Where the copula ends the sentence, each of its
    last words up to three may be the predicate.
    """
    clean = bare(sentence)
    if not clean or len(clean) > 2 * MAX_SHORT_CHARS:
        return None
    parts = _predicates(clean, conv)
    if not parts:
        return None
    parts += [without_article(parts[0]), clean]
    readings = tuple(dict.fromkeys(text_key(p) for p in parts if any(c.isalnum() for c in p)))
    return Answer(text=bare(parts[0]), kind="text", readings=readings) if readings else None


_ARTICLE = regex.compile(
    r"^(?:the|an?|le|la|les|l'|el|los|las|il|lo|der|die|das|o|os|as|το|η|ο|τα|het|de)\s+(?=\S)",
    regex.IGNORECASE,
)


def without_article(phrase: str) -> str:
    """`phrase` without an article before it."""
    return _ARTICLE.sub("", phrase)


def _predicates(clean: str, conv: Convention) -> list[str]:
    key = clean.lower()
    if len(key) == len(clean):
        found = list(conv.copulas.finditer(key))
        if found and len(clean[found[-1].end() :].split()) <= _MAX_PREDICATE_WORDS:
            return [clean[found[-1].end() :]]
    if match := _TOPIC.search(clean):
        return [without_copula(match[1] or match[2], conv)]
    end = conv.ends_with_copula.search(clean)
    if end and end.start() > 0 and (words := clean[: end.start()].split()):
        return [" ".join(words[-n:]) for n in range(1, min(3, len(words)) + 1)]
    return []


_TOPIC = regex.compile(
    r"(?:は|が|は、)([^はが。]{1,40}(?:です|だ|である|でした)[。\s]*$)|(?:是|为|為)([^是为。]{1,30})[。\s]*$"
)
