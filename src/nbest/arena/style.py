"""How an answer looks, whatever it says: length and Markdown, counted alike in every script. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import regex

_CODE = regex.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)", regex.DOTALL | regex.MULTILINE)
_HEADER = regex.compile(r"^[ \t]{0,3}[#＃]{1,6}[^\S\n]", regex.MULTILINE)
_BOLD = regex.compile(r"\*\*[^*\n]+\*\*|＊＊[^＊\n]+＊＊|(?<!\w)__[^_\n]+__(?!\w)")
_BULLET = regex.compile(r"^[^\S\n]*(?:[-*+＊＋–][^\S\n]+\S|[•◦▪‣●○■□・·][^\S\n]*\S)", regex.MULTILINE)
_NUMBERED = regex.compile(
    r"^[^\S\n]*(?:"
    r"[(（]?\p{Nd}{1,3}(?:[.)．。]\s|[、）])"  # 1. (1) ١. १) １、
    r"|[(（]?[一二三四五六七八九十]{1,3}[、．.）)]"
    r"|[\u2460-\u249b\u3220-\u3229\u3280-\u3289])",  # ① ⑴ ⒈ ㈠ ㊀
    regex.MULTILINE,
)


class Style(NamedTuple):
    """Counts of one text."""

    length: int
    """Characters as a reader sees them (grapheme clusters)."""
    headers: int
    bold: int
    """Stretches of bold text."""
    lists: int
    """List items, bulleted or numbered, in the digits of any script."""


@lru_cache(maxsize=65536)
def style(text: str) -> Style:
    """The counts; Markdown inside code blocks is no style (as in Arena-Hard v2, arXiv 2406.11939)."""
    prose = _CODE.sub("", text)
    return Style(
        length=sum(1 for _ in regex.finditer(r"\X", text)),
        headers=len(_HEADER.findall(prose)),
        bold=len(_BOLD.findall(prose)),
        lists=len(_BULLET.findall(prose)) + len(_NUMBERED.findall(prose)),
    )
