"""The gold answer of a prompt's row, as oracles read it."""

from __future__ import annotations

from collections.abc import Mapping

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.text.grading import is_right
from nbest.types import Candidate, Json, Prompt

Gold = Mapping[str, Json]
"""The columns of a prompt's row that its text does not show."""


def gold_of(prompt: Prompt, ctx: Context) -> Gold:
    """The row's gold columns. Raises `CapabilityError` where there is no `answer` among them."""
    if ctx.gold.get("answer") is None:
        raise CapabilityError(
            f"prompt {prompt.id!r} has no gold answer: the oracle needs `answer` in its row"
        )
    return ctx.gold


def truth(candidate: Candidate, prompt: Prompt, gold: Gold) -> float:
    """1 where the candidate's final answer is right, else 0."""
    return float(is_right(candidate, prompt, gold))
