"""Words and user-perceived characters of text in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import regex

from nbest.text.spelling import respelled

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


def bare_words(text: str) -> list[str]:
    """`words` without punctuation, in one spelling: case, harakat, niqqud, ي/ی, ς/σ, İ/i and the like do not count."""
    return [w for w in words(respelled(text)) if _SPOKEN.search(w)]


def comparable(
    hypotheses: Sequence[str], references: Sequence[str], *, respell: bool
) -> tuple[Sequence[str], Sequence[str]]:
    """Both in one Unicode form (NFC: `é` of one code point or two); with `respell`, in one spelling as well.

    One list given twice comes back as one list twice, which kernels compare in half the time.
    """
    spelled = _in_one_form(hypotheses, respell=respell)
    if references is hypotheses:
        return spelled, spelled
    return spelled, _in_one_form(references, respell=respell)


def _in_one_form(texts: Sequence[str], *, respell: bool) -> Sequence[str]:
    if respell:
        return [respelled(text) for text in texts]
    return [unicodedata.normalize("NFC", text) for text in texts]


def graphemes(text: str) -> list[str]:
    """User-perceived characters (Unicode extended grapheme clusters)."""
    return _GRAPHEME.findall(text)
