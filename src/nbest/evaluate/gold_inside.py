"""Answers that say the gold answer and were graded wrong: a sign that the grader reads them wrongly."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

import regex

from nbest.text import read
from nbest.text.grading import accepted_answers
from nbest.text.reasoning import answer_text
from nbest.types import Candidate, Json

_UNSPACED: Final = (
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}"
    r"\p{Script=Myanmar}]"
)
"""Scripts that put no space between words, where a word may begin anywhere."""
_LETTER: Final = r"[\p{L}\p{M}]"
_STARTS_IN_A_WORD: Final = rf"(?<!{_LETTER})"
_ENDS_IN_A_WORD: Final = rf"(?!{_LETTER})"
_STARTS_IN_A_NUMBER: Final = r"(?<![\d])(?<!\d[.,])"
_ENDS_IN_A_NUMBER: Final = r"(?!\d)(?![.,]\d)"


def says_gold(candidate: Candidate, gold: Mapping[str, Json]) -> bool:
    """Whether an accepted answer of the row stands in the candidate's text as a word or number of its own.

    A number is looked for in the last line alone: one in the middle is as likely a step on the way. Digits of
    every script, upper and lower case, and Unicode spellings are the same. Raises `KeyError` without an
    `answer` in the row.
    """
    text = answer_text(candidate.text).strip()
    return any(_is_inside(accepted, text) for accepted in accepted_answers(gold))


def _is_inside(accepted: str, text: str) -> bool:
    wanted = _normal(accepted).strip()
    if not wanted:
        return False
    answer = read(accepted)
    if answer is not None and answer.kind == "number":
        text = text.rpartition("\n")[2]
    pattern = _edge(wanted[0], _STARTS_IN_A_NUMBER, _STARTS_IN_A_WORD) + regex.escape(wanted)
    pattern += _edge(wanted[-1], _ENDS_IN_A_NUMBER, _ENDS_IN_A_WORD)
    return regex.search(pattern, _normal(text)) is not None


def _edge(character: str, in_a_number: str, in_a_word: str) -> str:
    """What must not stand next to the first or last character of what is looked for."""
    if character.isdecimal():
        return in_a_number
    if regex.match(_UNSPACED, character) or not regex.match(_LETTER, character):
        return ""
    return in_a_word


def _normal(text: str) -> str:
    return "".join(map(_ascii_digit, unicodedata.normalize("NFKC", text).casefold()))


def _ascii_digit(char: str) -> str:
    if char.isdecimal():
        return str(unicodedata.digit(char))
    return char
