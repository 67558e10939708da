"""One spelling for what Unicode, Markdown and LaTeX write in many ways. Pure, linear, total."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import regex

MAX_CHARS: Final = 20_000
"""Only the end of a longer text is read."""

_SIGNS = {
    "−": "-",  # minus sign
    "﹣": "-",
    "⁄": "/",  # what NFKC makes of ½
    "∕": "/",
    "÷": "/",
    "′": "'",
    "’": "'",
    "‘": "'",
    "ʼ": "'",
    "˙": "'",
    "٪": "%",
    "،": ",",
    "∶": ":",
    "\r": "\n",
    "\u2028": "\n",
    "\u2029": "\n",
    "\u0085": "\n",
    "\x0b": "\n",
    "\x0c": "\n",
}

_NEEDS_WORK = re.compile(r"[^\x20-\x7e\n]")
"""Of `re`: see `extraction._BEFORE_LETTERS`."""
_NBSP_GROUP = regex.compile(r"(?<=[0-9])[\u00a0\u202f\u2009\u2007\u2008](?=[0-9]{3}(?![0-9]))")
_VULGAR = regex.compile(r"(?<=[0-9])(?=[\u00bc-\u00be\u2150-\u215e\u2189])")
_SUPERSCRIPT = regex.compile(r"(?<=[\p{L}\p{N})])([⁺⁻]?[⁰¹²³⁴-⁹]+)")
_IGNORABLE = regex.compile(r"[\p{Cf}\p{Co}\ufe00-\ufe0f\u0000-\u0008\u000e-\u001f\u007f]+")

_MARKUP = regex.compile(r"[*`]+|(?<![\p{L}\p{N}])_+|_+(?![\p{L}\p{N}])|^\s{0,3}(?:#{1,6}|>|[-•])\s+")
_OUTER: Final = " \t\n\"“”„«»「」『』‹›'|~"
_LEADING: Final = _OUTER + ":=,;、。"
_TRAILING: Final = _OUTER + ".,;:!?、。؟؛।॥…·។၊。፣።"
_SPACES = regex.compile(r"\s+")

_LOST_IN_NFKC = regex.compile(r"[⁺⁻⁰¹²³⁴-⁹\u00bc-\u00be\u2150-\u215e\u2189\u00a0\u202f\u2007-\u2009˙]")
"""Superscripts, fractions, spaces and a mark whose meaning NFKC drops; no text in NFKC has one."""


class _Digits(dict[int, str | int | None]):
    """For `str.translate`: the decimal digits of every script to ASCII; filled as they turn up."""

    def __missing__(self, code: int) -> str | int | None:
        value = unicodedata.decimal(chr(code), None)
        self[code] = code if value is None else str(value)
        return self[code]


class _DigitsOnly(_Digits):
    """The same, without invisible characters."""

    def __missing__(self, code: int) -> str | int | None:
        if _IGNORABLE.match(chr(code)):
            self[code] = None
            return None
        return super().__missing__(code)


_DIGITS = _Digits({ord(k): v for k, v in _SIGNS.items()})
_DIGITS_ONLY = _DigitsOnly(_DIGITS)


def normalised(text: str) -> str:
    """NFKC, ASCII digits and signs, no invisible characters; at most the last `MAX_CHARS` characters.

    No-break and thin spaces that group thousands become `'`; superscripts become `^2`; `3½` is `3 1/2`.
    """
    text = text[-MAX_CHARS:]
    if not _NEEDS_WORK.search(text):
        return text
    if not unicodedata.is_normalized("NFKC", text):
        if _LOST_IN_NFKC.search(text):
            text = _NBSP_GROUP.sub("'", text.translate(_DIGITS))
            text = _SUPERSCRIPT.sub(
                lambda m: "^" + unicodedata.normalize("NFKC", m[1]).replace("−", "-"), text
            )
            text = _VULGAR.sub(" ", text)
        text = unicodedata.normalize("NFKC", text)
    return text if _stays(text) else text.translate(_DIGITS_ONLY)


_staying: Final[set[str]] = set()
"""Characters met so far that `_DIGITS_ONLY` leaves as they are."""


def _stays(text: str) -> bool:
    """Whether `_DIGITS_ONLY` leaves `text` as it is: asked of its few different characters, not of all."""
    chars = set(text)
    if chars <= _staying:
        return True
    new = chars - _staying
    _staying.update(c for c in new if c.translate(_DIGITS_ONLY) == c)
    return chars <= _staying


def folded(text: str) -> str:
    """For comparing words: normalised, case-folded, one space between words."""
    return " ".join(unicodedata.normalize("NFKC", normalised(text).casefold()).split())


def same_length_casefold(text: str) -> str:
    """Case-folded so that every character keeps its place; the few that would grow stay as they are."""
    lower = text.casefold()
    if len(lower) == len(text):
        return lower
    return "".join(f if len(f := c.casefold()) == 1 else c for c in text)


def bare(span: str) -> str:
    """Without Markdown, quotes, and punctuation around it; brackets stay unless they hold everything."""
    if span.lstrip()[:1] in "#>-•" or "*" in span or "`" in span or "_" in span:
        span = _MARKUP.sub("", span)
    span = span.strip()
    while True:
        before = span
        span = span.lstrip(_LEADING).rstrip(_TRAILING)
        if span[:1] not in "$\\【[":  # how all brackets begin
            return span
        for opening, closing in _BRACKETS:
            if span.startswith(opening) and span.endswith(closing) and _is_one_group(span, opening, closing):
                inner = span[len(opening) : -len(closing)]
                span = inner if inner.strip() else span
        if span == before:
            return span


_BRACKETS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("【", "】"), ("[", "]"))


def _is_one_group(span: str, opening: str, closing: str) -> bool:
    inner = span[len(opening) : -len(closing)]
    if opening == "[" and ("," in inner or ";" in inner):
        return False  # an interval or a list, and no quotation
    return len(span) > len(opening) + len(closing) and opening not in inner and closing not in inner


_TEXT_COMMAND = regex.compile(
    r"\\(?:text\p{L}*|math(?:rm|bf|sf|it|tt|normal)|mbox|operatorname)\s*\{([^{}]*)\}"
)
_SPACING = regex.compile(
    r"\\(?:left|right|displaystyle|bigl?|bigr|Bigl?|Bigr|quad|qquad)(?!\p{L})|(?<!\\)\\[,;:! ]|~"
)
_FRACTION = regex.compile(
    r"\\[dtc]?frac\s*(?:\{\s*(-?[0-9.,]+)\s*\}\s*\{\s*([0-9.,]+)\s*\}|([0-9])\s*([0-9]))"
)
_WHOLE_PART = regex.compile(r"(?<=[0-9])\s*(?=\\[dtc]?frac)")
_ESCAPED = regex.compile(r"\\([$%#&_{}])")
_LATEX_WORDS = {
    r"\times": "×",
    r"\cdot": "·",
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"^\circ": "°",
    r"^{\circ}": "°",
    r"\degree": "°",
    r"\dollar": "$",
    r"\euro": "€",
    r"\pounds": "£",
    "{,}": ",",
    "{.}": ".",
    "{:}": ":",
}


def plain_latex(span: str) -> str:
    """What LaTeX says of plain numbers and words, without the LaTeX; other commands stay."""
    if "\\" not in span and "{" not in span:
        return span
    for _ in range(3):
        span = _TEXT_COMMAND.sub(r" \1 ", span)
    for command, meaning in _LATEX_WORDS.items():
        span = span.replace(command, meaning)
    span = _ESCAPED.sub(r"\1", _SPACING.sub("", span))
    span = _FRACTION.sub(lambda m: f"{m[1] or m[3]}/{m[2] or m[4]} ", _WHOLE_PART.sub(" ", span))
    return _SPACES.sub(" ", span).strip()
