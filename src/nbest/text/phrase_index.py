"""Hundreds of words and phrases of all languages, looked for in a text without a regular expression.

They are kept by their first two characters, so that a place of a text is compared with few of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import regex

_LETTERS: Final = r"[\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}\p{Telugu}]"
"""Of scripts that put spaces between words."""
_ENDS_IN_LETTER = regex.compile(rf"{_LETTERS}\p{{M}}*$")
_BEGINS_WITH_LETTER = regex.compile(_LETTERS)
_KEY_CHARS: Final = 2


class Phrase(NamedTuple):
    """A word or phrase, and whether it must not touch other letters before it and behind it."""

    text: str
    is_whole_before: bool
    is_whole_behind: bool


class Phrases:
    """A set of phrases; the longest that fits is found.

    One whose script puts spaces between words is found as a whole word only. Texts must be case-folded, as
    the phrases are.
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        made = [_phrase(text) for text in sorted(set(phrases), key=lambda t: (-len(t), t))]
        self._by_start = _grouped((p.text[:_KEY_CHARS], p) for p in made)
        self._by_end = _grouped((p.text[-_KEY_CHARS:], p) for p in made)
        self._all = made

    def end_at(self, text: str, at: int = 0) -> int | None:
        """Where the longest phrase ends that begins at `at`."""
        for key in (text[at : at + _KEY_CHARS], text[at : at + 1]):
            for phrase in self._by_start.get(key, ()):
                if text.startswith(phrase.text, at) and _is_whole(phrase, text, at):
                    return at + len(phrase.text)
        return None

    def start_at_end(self, text: str) -> int | None:
        """Where the longest phrase begins that `text` ends with."""
        for key in (text[-_KEY_CHARS:], text[-1:]):
            for phrase in self._by_end.get(key, ()):
                at = len(text) - len(phrase.text)
                if text.endswith(phrase.text) and _is_whole(phrase, text, at):
                    return at
        return None

    def first(self, text: str) -> tuple[int, int] | None:
        """Where the first phrase in `text` begins and ends."""
        if not any(phrase.text in text for phrase in self._all):
            return None
        for at in range(len(text)):
            end = self.end_at(text, at)
            if end is not None:
                return at, end
        return None

    def without_start(self, text: str) -> str | None:
        """`text` behind a phrase that it begins with, and behind the space there; None where there is none."""
        end = self.end_at(text)
        return None if end is None else text[end:].lstrip()

    def without_end(self, text: str) -> str | None:
        """`text` before a phrase that it ends with, and before the space there; None where there is none."""
        start = self.start_at_end(text)
        return None if start is None else text[:start].rstrip()


def is_letter(char: str) -> bool:
    """Whether `char`, at most one character, is a letter or a combining mark."""
    return char.isalpha() or (char != "" and char > "\u02ff" and unicodedata.category(char)[0] == "M")


def _phrase(text: str) -> Phrase:
    return Phrase(text, bool(_BEGINS_WITH_LETTER.match(text)), bool(_ENDS_IN_LETTER.search(text)))


def _is_whole(phrase: Phrase, text: str, at: int) -> bool:
    end = at + len(phrase.text)
    if phrase.is_whole_before and at and is_letter(text[at - 1]):
        return False
    return not (phrase.is_whole_behind and is_letter(text[end : end + 1]))


def _grouped(keyed: Iterable[tuple[str, Phrase]]) -> Mapping[str, tuple[Phrase, ...]]:
    groups: dict[str, list[Phrase]] = {}
    for key, phrase in keyed:
        groups.setdefault(key, []).append(phrase)
    return {key: tuple(group) for key, group in groups.items()}
