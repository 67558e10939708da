"""What a client gets of an outcome in which nothing was chosen, though something was drawn."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbest.protocols import Strategy
from nbest.strategies.parallel import Parallel
from nbest.strategies.revise import Revise
from nbest.strategies.rsa import Rsa
from nbest.strategies.self_refine import SelfRefine
from nbest.strategies.tree import Tree
from nbest.types import Candidate, Outcome, Selection

_DRAW_ANSWERS = Parallel | Tree | Revise | SelfRefine | Rsa
"""Strategies of which every finished candidate is an answer to the prompt as it was asked."""


def with_fallback(outcome: Outcome, strategy: Strategy, *, has_emitted: bool) -> Outcome:
    """The outcome with the best candidate that is left as its selection, and a note that says so.

    That is the first answer, unless part of another was streamed (`has_emitted`); else the first candidate
    that violates the request's constraints; else the first refusal. Without any, the outcome as it was.
    """
    drawn = outcome.candidates
    answers = [c for c in drawn if c.is_usable and c.finish != "step"]
    if answers and isinstance(strategy, _DRAW_ANSWERS) and not has_emitted:
        note = f"the choice failed ({outcome.error}): this is the first that was drawn"
        return _with_first(outcome, answers, note)

    finished = [c for c in drawn if c.finish in {"stop", "length"} and (c.text or c.tool_calls)]
    violating = [c for c in finished if c.error]
    if violating:
        problem = str(violating[0].error).partition(":")[0]  # what follows may repeat the answer
        note = f"no candidate fits: this is the first that was drawn, which {problem}"
        return _with_first(outcome, violating, note, is_done=True)

    note = "no candidate is an answer: this is the first that the model refused or a filter cut"
    refused = [c for c in drawn if c.finish in {"refused", "filtered"}]
    return _with_first(outcome, refused, note, is_done=True)


def _with_first(
    outcome: Outcome, candidates: Sequence[Candidate], note: str, *, is_done: bool = False
) -> Outcome:
    """The outcome with the first of `candidates` as its selection; unchanged without any.

    `is_done`: no call failed, so that `stopped` is not an error.
    """
    if not candidates:
        return outcome
    first = candidates[0]
    stopped = "done" if is_done and outcome.stopped == "error" else outcome.stopped
    return msgspec.structs.replace(
        outcome,
        selection=Selection(winner=first, weights={first.id: 1.0}, rationale=first.error or note),
        error=None,
        stopped=stopped,
        notes=(*outcome.notes, note),
    )
