"""What stands in a line beside its answer: "therefore", "not 9 but", "of the first step", "(A) is wrong"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import regex

from nbest.text.answer import Answer
from nbest.text.answer_words import Convention, choice_readings, phrase_words
from nbest.text.normalise import bare, same_length_casefold
from nbest.text.phrase_index import Phrases
from nbest.text.readers import clean_reading

_MAX_BETWEEN_CHARS: Final = 60
"""Between "not" and "but"."""
_MIN_LINE_CHARS: Final = 5
_MAX_LINE_CHARS: Final = 300
_SKIPPED: Final = " ,，、:：*_"


def without_asides(clean: str, before: str) -> str:
    """`clean` without "therefore" before its answer, and Y of "not X but Y"; "not" may stand in what is `before`."""
    behind_adverb = _phrases("adverb").without_start(same_length_casefold(clean))
    if behind_adverb:
        clean = bare(clean[-len(behind_adverb) :].lstrip(_SKIPPED))
    behind = _behind_contrast(same_length_casefold(clean), same_length_casefold(before))
    if behind is None:
        return clean
    return bare(clean[behind:]) or clean


def _behind_contrast(lower: str, before: str) -> int | None:
    """Where Y begins in "not X but Y", or in "X ではなく Y"; None where there is no such contrast."""
    instead = _phrases("instead").first(lower[:_MAX_BETWEEN_CHARS])
    if instead is not None and instead[0] > 0:
        return _begin_of_rest(lower, instead[1])

    negation = _phrases("not").end_at(lower)
    is_negated_before = _phrases("not").start_at_end(before.rstrip()) is not None
    if negation is None and not is_negated_before:
        return None
    start = negation or 0
    contrast = _phrases("but").first(lower[start : start + _MAX_BETWEEN_CHARS])
    if contrast is None or contrast[0] == 0:
        return None
    return _begin_of_rest(lower, start + contrast[1])


def _begin_of_rest(lower: str, end: int) -> int | None:
    rest = lower[end:].lstrip(_SKIPPED)
    if not any(c.isalnum() for c in rest):
        return None
    return len(lower) - len(rest)


def is_partial(around: str) -> bool:
    """Whether the words around one for "result" make it a result on the way."""
    lower = same_length_casefold(around)
    return any(word in lower for word in phrase_words("partial"))


def kept_choice(line: str, conv: Convention) -> Answer | None:
    """The one option that a line calls right where it calls others wrong: B of "(A) is wrong, (B) is right"."""
    if not _MIN_LINE_CHARS <= len(line) <= _MAX_LINE_CHARS or _LETTER.search(line) is None:
        return None
    lower = same_length_casefold(line)
    if not any(word in lower for word in phrase_words("wrong")):
        return None
    judged = set(_judged_letters(lower, line))
    kept = {letter for letter, verdict in judged if verdict == "right"}
    rejected = {letter for letter, verdict in judged if verdict == "wrong"}
    if len(kept) != 1 or not rejected - kept:
        return None
    return clean_reading(kept.pop(), conv)


def _judged_letters(lower: str, line: str) -> Iterator[tuple[str, str]]:
    """Letters of options with what is said of them: the next verdict behind them, else the last one before."""
    waiting: list[str] = []
    verdict_before: str | None = None
    for _, found in sorted([*_letters(line), *_verdicts(lower)]):
        if found not in {"right", "wrong"}:
            waiting.append(found)
            continue
        for letter in waiting:
            yield letter, found
        verdict_before = None if waiting else found
        waiting = []
    if verdict_before is None:
        return
    for letter in waiting:
        yield letter, verdict_before


def _letters(line: str) -> Iterator[tuple[int, str]]:
    for match in _LETTER.finditer(line):
        letter = match[1] or match[2]
        if letter.upper() in choice_readings():
            yield match.start(), letter


def _verdicts(lower: str) -> Sequence[tuple[int, str]]:
    """Where words for right and wrong stand; those of "not right" are wrong alone."""
    found: list[tuple[int, str]] = []
    end = 0
    for at in range(len(lower)):
        if at < end:
            continue
        for verdict in ("wrong", "right"):
            end_of_word = _phrases(verdict).end_at(lower, at)
            if end_of_word is not None:
                found.append((at, verdict))
                end = end_of_word
                break
    return found


_LETTER = regex.compile(
    r"(?<![\p{L}\p{M}\p{N}'’])[(]?(\p{Lu}|\p{Lo}\p{M}?)[)]?(?![\p{L}\p{M}\p{N}'’]|[.]\p{L})"
    r"|(?<![\p{Latin}\p{N}])[(]?([A-Z]|[\p{Katakana}](?=[はがも])|[\p{Han}](?=[は]))[)]?(?=[\p{Han}\p{Hiragana}\p{Hangul}\p{Thai}])"
)


@cache
def _phrases(field: str) -> Phrases:
    return Phrases(same_length_casefold(word) for word in phrase_words(field))
