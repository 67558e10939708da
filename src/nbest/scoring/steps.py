"""Where the steps of a text end: at line ends or blank lines, which every script has. Pure."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Literal

Split = Literal["line", "blank_line"]
"""line: a step is a line that says something. blank_line: what stands between blank lines."""

_BLANK_LINES = re.compile(r"(?:(?:\r\n?|[\n\x85\u2028\u2029])[^\S\r\n\x85\u2028\u2029]*){2,}")


def steps_of(text: str, split: Split = "line") -> list[str]:
    """The steps; together they are `text`. White space belongs to the step before it, or to the first one.

    A text without a step (white space alone) has none.
    """
    steps: list[str] = []
    opening = ""
    for piece in text.splitlines(keepends=True) if split == "line" else _paragraphs(text):
        if piece.strip():
            steps.append(opening + piece)
            opening = ""
        elif steps:
            steps[-1] += piece
        else:
            opening += piece
    return steps


def prefixes_of(text: str, split: Split = "line") -> list[str]:
    """The text up to the end of each of its steps; the last one is the text."""
    return list(accumulate(steps_of(text, split)))


def _paragraphs(text: str) -> list[str]:
    ends = [m.end() for m in _BLANK_LINES.finditer(text)]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
