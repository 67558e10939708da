"""Words and user-perceived characters of text in any script."""

from __future__ import annotations

import regex

_UNSPACED = (
    r"\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Bopomofo}"
    r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Javanese}\p{Balinese}"
)
_WORD = regex.compile(
    rf"""
    (?=[[{_UNSPACED}]&&[\p{{L}}\p{{N}}]])\X       # scripts without spaces: a character each
    | \p{{Nd}}+(?:[.,٫٬]\p{{Nd}}+)+               # 1,234.5
    | (?:[[\p{{L}}\p{{N}}]--[{_UNSPACED}]][\p{{M}}\u200c\u200d]*)+   # words, vowel signs and joiners
    | (?!\s)\X                                  # anything else: a mark or symbol each
    """,
    regex.VERBOSE | regex.V1,
)
_SPOKEN = regex.compile(r"[\p{L}\p{N}\p{S}]")
_GRAPHEME = regex.compile(r"\X")


def words(text: str) -> list[str]:
    """Words, numbers and marks; in scripts that put no spaces, single characters (graphemes)."""
    return _WORD.findall(text)


def spoken_words(text: str) -> list[str]:
    """`words` case-folded and without punctuation."""
    return [w.casefold() for w in words(text) if _SPOKEN.search(w)]


def graphemes(text: str) -> list[str]:
    """User-perceived characters (Unicode extended grapheme clusters)."""
    return _GRAPHEME.findall(text)
