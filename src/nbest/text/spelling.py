"""Words for comparison: one key for spellings that differ in what a reader would not call another word."""

from __future__ import annotations

import unicodedata
from typing import Final

import regex

from nbest.text.normalise import bare, folded, normalised, plain_latex

_EDGES = regex.compile(r"^[\p{P}\s]+|(?<![\p{P}\s])[\p{P}\s]+$")
_TAGS = regex.compile(r"</?[A-Za-z][\w-]{0,30}/?>|<\|[^<>|\n]{1,40}\|>|[$]")
_VOWEL_SIGNS = regex.compile(
    r"[\u0610-\u061a\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06ed\u0640\u0591-\u05bd\u05bf-\u05c7]"
)
"""Harakat and tatweel of Arabic, niqqud and cantillation of Hebrew: written for learners, left out by others."""
_ONE_SPELLING: Final = str.maketrans({
    "ی": "ي", "ى": "ي", "ې": "ي", "ک": "ك", "ە": "ه", "ۀ": "ه", "ة": "ه", "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا",
    "ς": "σ", "ı": "i", "ё": "е", "\u2011": "-", "’": "'", "\u200c": None,
})  # fmt: skip
_TONED_GLIDE = regex.compile(r"(?:(?<=o)|(?<=u))([\u0300\u0301\u0303\u0309\u0323])(?=[aey])")
"""Vietnamese `hòa` is `hoà`: the tone may stand on either vowel of oa, oe and uy."""
_GREEK_TONOS = regex.compile(r"(\p{Greek}\u0308?)\u0301")
"""Capitals are written without it."""
_KATAKANA: Final = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


def text_key(text: str) -> str:
    """`text` as its words are compared.

    NFKC, case-folded, single spaces; without LaTeX, tags, harakat, niqqud and punctuation around; Persian and
    Arabic letters that look alike are one, so are Greek sigmas, Turkish i with and without its dot, Japanese
    syllabaries, and the two places of a Vietnamese tone. A text of punctuation alone stays as it is.
    """
    key = respelled(bare(_TAGS.sub(" ", plain_latex(normalised(text)))))
    if key[:1].isalnum() and key[-1].isalnum():
        return key
    return _EDGES.sub("", key).strip() or key


def respelled(text: str) -> str:
    """`text` case-folded, in one spelling, words and punctuation as they are."""
    key = folded(text)
    if key.isascii():
        return key

    key = _VOWEL_SIGNS.sub("", key.translate(_ONE_SPELLING)).translate(_KATAKANA)
    split = unicodedata.normalize("NFD", key).replace("i\u0307", "i")
    split = _GREEK_TONOS.sub(r"\1", split)
    moved = _TONED_GLIDE.sub(lambda m: "\0" + m[1], split)
    if "\0" in moved:
        moved = regex.sub(r"\0(.)([aey])", r"\2\1", moved)
    return unicodedata.normalize("NFC", moved)
