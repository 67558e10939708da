"""Where the steps of a text end: at line ends or blank lines, which every script has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

from nbest.context import Context
from nbest.types import Candidate

Split = Literal["line", "blank_line"]
"""line: a step is a line that is not blank. blank_line: a step is a paragraph between blank lines."""

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


def is_at_end(text: str, split: Split = "line") -> bool:
    """Whether the last step of `text` has its end, or might go on."""
    behind = text[len(text.rstrip()) :]
    if split == "blank_line":
        return bool(_BLANK_LINES.search(behind))
    return len(f"{behind}|".splitlines()) > 1


def note_half_steps(scorer: str, candidates: Sequence[Candidate], split: Split, ctx: Context) -> None:
    """Adds a note where the search ends steps elsewhere than `scorer`, which then reads a part of a step as a whole one."""
    if any(c.finish == "step" and c.is_usable and not is_at_end(c.text, split) for c in candidates):
        boundary = {"line": "newline", "blank_line": "blank_line"}[split]
        ctx.note(
            f"{scorer} reads steps of split={split}, and this search ends steps elsewhere too: a part of a step is"
            f" read as a whole one. Search with boundary={boundary}, and step_tokens that a step fits into"
        )


def _paragraphs(text: str) -> list[str]:
    ends = [m.end() for m in _BLANK_LINES.finditer(text)]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
