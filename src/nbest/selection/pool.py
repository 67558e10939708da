"""What all selectors do with a pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Final

import regex

from nbest.context import Context
from nbest.errors import SelectionError
from nbest.offload import spaced
from nbest.protocols import Selector
from nbest.text.calls import said
from nbest.text.reasoning import answer_text
from nbest.types import Candidate, Prompt, Selection, replace

_BLANK: Final = regex.compile(r"[\s\p{Cc}\p{Cf}\p{Cn}]*+")
"""White space, control and format characters, and code points that are none."""


def usable(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that may win, by id. Raises `SelectionError` where there is none."""
    pool = sorted((c for c in candidates if c.is_usable), key=lambda c: c.id)
    if pool:
        return pool
    if not candidates:
        raise SelectionError("the pool is empty: no candidate was drawn")
    raise SelectionError(f"all {len(candidates)} candidates failed; the first: {candidates[0].error}")


async def answer_texts(pool: Sequence[Candidate]) -> dict[int, str]:
    """What each candidate answers, by id: its text without its reasoning.

    Candidates with a blank answer (white space, invisible characters, reasoning that was cut off) are left
    out; where all are blank, each is given as the empty string.
    """
    text_by_id = {c.id: answer_text(c.text) async for c in spaced(pool)}
    speaking = {i: text for i, text in text_by_id.items() if not is_blank(text)}
    return speaking or dict.fromkeys(text_by_id, "")


def is_blank(text: str) -> bool:
    """Whether a reader sees nothing."""
    return _BLANK.fullmatch(text) is not None


def chosen(
    winner: Candidate,
    *,
    weights: Mapping[int, float] | None = None,
    scores: Mapping[int, float] | None = None,
    rationale: str | None = None,
) -> Selection:
    """A selection whose weights are made to sum to 1; all on the winner without any."""
    total = fsum(weights.values()) if weights else 0.0
    shares = {winner.id: 1.0}
    if weights and total > 0:
        shares = {i: w / total for i, w in weights.items()}
    return Selection(winner=winner, weights=shares, scores=scores or {}, rationale=rationale)


async def select(
    selector: Selector, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
) -> Selection:
    """What `selector` chooses; it reads tool calls as text, and the winner is the candidate as it was drawn."""
    if not any(c.tool_calls for c in candidates):
        return await selector(prompt, candidates, ctx)
    selection = await selector(prompt, [replace(c, text=said(c)) for c in candidates], ctx)
    drawn = {c.id: c for c in candidates}
    return replace(selection, winner=drawn.get(selection.winner.id, selection.winner))


def argmax(candidates: Sequence[Candidate], scores: Mapping[int, float]) -> Candidate:
    """The candidate with the highest score; ties go to the lowest id."""
    return max(candidates, key=lambda c: (scores[c.id], -c.id))
