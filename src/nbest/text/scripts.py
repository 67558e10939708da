"""Scripts of texts, and what stands in them that is no prose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import regex

MAX_PROSE: Final = 1000
"""Characters that a language is identified from: half of them at the beginning, half at the end."""
_MAX_READ: Final = 8000
"""Characters in which prose is looked for."""
_CHARACTERS_PER_WORD: Final = 2
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*")
_SPACED_WORD = regex.compile(
    r"(?:(?![\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])\p{L}[\p{M}'’]*)+"
)
_NOT_PROSE = regex.compile(
    r"```.{0,20000}?(?:```|\Z)|`[^`\n]{1,200}`|\$\$?[^$\n]{1,300}\$|\\\p{Latin}+|https?://\S+|[\w.+-]{1,64}@[\w.-]{1,64}",
    regex.DOTALL,
)
_SIGNS_OF_NO_PROSE: Final = ("`", "$", "\\", "://", "@")
"""Without any of these nothing of that is in a text."""
_ASCII_WORD = re.compile(r"[A-Za-z][A-Za-z']*")
_LATIN_WORD = regex.compile(r"\p{Latin}[\p{Latin}\p{M}\p{N}'’_.-]*")
_LETTERS_OF_A_SIGN: Final[Mapping[str, float]] = {
    "Han": 4.0,
    "Hangul": 2.5,
    **dict.fromkeys(("Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"), 2.0),
}
"""How many letters of an alphabet say what one sign of these says."""
_MIN_MAIN_SHARE: Final = 0.25
_SCRIPT_PATTERNS: Final = {
    name: regex.compile(rf"\p{{Script={name}}}")
    for name in (
        *("Latin", "Han", "Cyrillic", "Arabic", "Devanagari", "Hiragana", "Katakana", "Hangul", "Thai"),
        *("Telugu", "Bengali", "Greek", "Hebrew", "Tamil", "Gujarati", "Gurmukhi", "Kannada", "Malayalam"),
        *("Oriya", "Sinhala", "Lao", "Khmer", "Myanmar", "Tibetan", "Georgian", "Armenian", "Ethiopic"),
        *("Mongolian", "Syriac", "Thaana", "Cherokee", "Tifinagh", "Nko", "Javanese", "Bopomofo", "Yi"),
    )
}


def scripts(text: str) -> Mapping[str, float]:
    """Unicode script → share of the letters of `text`, commonest first; empty without letters."""
    counts: Counter[str] = Counter()
    for char, count in Counter(text).items():
        script = _script(char)
        if script:
            counts[script] += count
    total = sum(counts.values())
    return {script: n / total for script, n in counts.most_common()}


def num_words(text: str) -> int:
    """Words, or pairs of characters in scripts that put no space between words; digits are none."""
    if text.isascii():
        return len(_ASCII_WORD.findall(text))
    return len(_SPACED_WORD.findall(text)) + len(_UNSPACED.findall(text)) // _CHARACTERS_PER_WORD


def prose_of(text: str) -> str:
    """`text` without code, formulas and addresses."""
    if not any(sign in text for sign in _SIGNS_OF_NO_PROSE):
        return text
    return _NOT_PROSE.sub(" ", text)


def sample_of(text: str) -> str:
    """The prose of a text's beginning and end: time to identify a language grows with the text, certainty does not."""
    prose = " ".join(map(prose_of, _ends(text, _MAX_READ)))
    return " ".join(_ends(prose, MAX_PROSE))


def _ends(text: str, num_chars: int) -> Sequence[str]:
    """The text, or where it is longer its first and its last `num_chars` / 2 characters."""
    if len(text) <= num_chars:
        return [text]
    half = num_chars // 2
    return [text[:half], text[-half:]]


def main_script_of(prose: str) -> str:
    """`prose` without Latin words, where another script is at least a quarter of it."""
    if prose.isascii():
        return prose
    latin = _weighed(prose).get("Latin", 0.0)
    is_mixed = 0 < latin <= 1 - _MIN_MAIN_SHARE
    return _LATIN_WORD.sub(" ", prose) if is_mixed else prose


def is_written_in(prose: str, own_scripts: frozenset[str]) -> bool:
    """Whether half of a text is in `own_scripts`; a quarter suffices where the rest is mostly Latin, and they are not.

    A sign for a syllable or a word counts as the letters that it stands for.
    """
    shares = _weighed(prose)
    own = sum(shares.get(s, 0.0) for s in own_scripts)
    others = sum(share for s, share in shares.items() if s not in own_scripts | {"Latin"})
    is_mixed_with_latin = "Latin" not in own_scripts and others < own
    return own >= (_MIN_MAIN_SHARE if is_mixed_with_latin else 1 / 2)


@lru_cache(maxsize=8)  # a line is asked about twice
def _weighed(text: str) -> Mapping[str, float]:
    weighed = {s: share * _LETTERS_OF_A_SIGN.get(s, 1.0) for s, share in scripts(text).items()}
    total = sum(weighed.values())
    return {s: w / total for s, w in weighed.items()}


@lru_cache(maxsize=65536)
def _script(char: str) -> str | None:
    """Script of a letter; None for what is no letter, or of no script in particular."""
    if not char.isalpha():
        return None
    return next((name for name, pattern in _SCRIPT_PATTERNS.items() if pattern.match(char)), None)
