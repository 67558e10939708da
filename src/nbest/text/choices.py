"""Choices: a letter of an option, alone, with its punctuation, or with the option's content behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import regex

from nbest.text.answer import Answer, words_answer
from nbest.text.answer_words import Convention, choice_readings, lookalikes
from nbest.text.normalise import bare
from nbest.types import replace

_CHOICE = regex.compile(
    r"(?:[(\[（【]\s?(?P<a>[^\s()\[\]]{1,3})\s?[)\]）】]"
    r"|(?P<b>[^\s()\[\].,:]{1,3}?)(?P<c>[.):、،。]|\s?[–—](?=\s)|\s-(?=\s))?)(?:[\s,;،]|$)"
)
_LETTER = regex.compile(
    r"[(\[]\s?(?P<a>[^\s()\[\]]{1,3})\s?[)\]]|(?P<b>[A-Za-z])(?P<c>)(?=['’]|[^\p{Latin}\p{M}])"
)
_ARTICLE = regex.compile(r"(?:(?:the|la|le|el|il|lo|die|der|das|το|η|ο|het)\s+|l'\s?)(?=\S)")
_TAIL = regex.compile(
    r"['’\s]?(?:d[iıuü]r|t[iıuü]r|şıkkı(?:dır)?|seçeneği(?:dir)?|项|項|选项|選項|번|번입니다|です|を選ぶ|ですね|이다|입니다|है|हैं|است|হবে)?[\s.。।]*"
)
"""Grammar behind a letter: "C'dir", "D项", "C입니다"."""
_QUOTED = regex.compile(r"(?:の|:|,|-|–)?\s?[「『“\"«].{1,60}[」』”\"»](?:です|だ|である)?[\s.。]*")
_ANSWER_LETTERS: Final = frozenset({"A", "ج", "O", "R", "П"})
"""What languages shorten "answer" to."""
_MAX_CONTENT_CHARS: Final = 200

Read = Callable[[str, Convention], Answer | None]


def choice_answer(span: str, conv: Convention, read_content: Read) -> Answer | None:
    """`B`, `(b)`, `B. Paris`, `Option ب`: a letter that stands alone or before its punctuation.

    With content behind it, the content is a reading too: `A: 18` may be the choice A, or 18 behind an "A" for
    "answer". A number comes first behind such a letter, the choice behind any other.
    """
    span, has_option_word = _without_option_word(span, conv)
    match = _letter_at_start(span)
    if match is None:
        return None
    readings = choice_readings()[_letter(match)]
    choice = Answer(text=span, kind="choice", readings=readings)
    rest = span[match.end() :].strip()

    if not rest or _TAIL.fullmatch(rest) or _QUOTED.fullmatch(rest):
        return choice
    if match[0][-1] in ",;،":  # "option (A), because …" is a choice; "(a), (b)" is none
        return choice if has_option_word else None
    if not (match["a"] or match["c"]):
        return None
    return _with_content(choice, _letter(match), bare(rest), conv, read_content)


def _without_option_word(span: str, conv: Convention) -> tuple[str, bool]:
    article = _ARTICLE.match(span)
    if article:
        span = span[article.end() :]
    option = conv.options.match(span)
    if option is None:
        return span, False
    return bare(span[option.end() :].strip()), True


def _letter_at_start(span: str) -> regex.Match[str] | None:
    for match in (_CHOICE.match(span), _with_tail(span)):
        if match and _letter(match) in choice_readings():
            return match
    return None


def _letter(match: regex.Match[str]) -> str:
    return (match["a"] or match["b"]).upper()


def _with_tail(span: str) -> regex.Match[str] | None:
    """`B'dir`, `C입니다`, `Dです`: the letter, if grammar is all that follows."""
    match = _LETTER.match(span)
    if match is None:
        return None
    is_grammar = _TAIL.fullmatch(span, match.end()) or _QUOTED.fullmatch(span, match.end())
    return match if is_grammar else None


def _with_content(
    choice: Answer, letter: str, content: str, conv: Convention, read_content: Read
) -> Answer | None:
    inner = read_content(content, conv)
    if inner and inner.kind == "choice":
        return inner if letter in _ANSWER_LETTERS else None
    if inner is None:
        inner = words_answer(content)
    if inner is None or len(content) > _MAX_CONTENT_CHARS:
        return choice
    if inner.kind == "number" and letter in _ANSWER_LETTERS:
        return replace(inner, text=content, readings=_joined(inner.readings, choice.readings))
    return replace(choice, readings=_joined(choice.readings, inner.readings))


def without_lookalike(answer: Answer) -> Answer:
    """A choice by a letter of another script without what its Latin twin would be: Cyrillic В beside Cyrillic Б."""
    letter = answer.text.lstrip("([").upper()[:1]
    twin = lookalikes().get(letter)
    kept = tuple(reading for reading in answer.readings if reading != twin)
    if answer.kind != "choice" or twin is None or not kept:
        return answer
    return replace(answer, readings=kept)


def is_of_own_script(answer: Answer) -> bool:
    """Whether a choice is written in a script with letters that look Latin, by one that does not: Cyrillic Б."""
    letter = answer.text.lstrip("([").upper()[:1]
    return answer.kind == "choice" and _OWN_LETTER.match(letter) is not None and letter not in _LOOK_LATIN


_OWN_LETTER = regex.compile(r"\p{Cyrillic}")
_LOOK_LATIN: Final = frozenset("АВЕКМНОРСТХІ")


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
