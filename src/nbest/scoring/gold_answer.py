"""The gold answer of a prompt's row, as oracles read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.registry.outside import code_name, function_in_code
from nbest.text.grading import GRADERS, Grader, is_right
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


def grader_of(name: str | None) -> Grader | None:
    """A grader of `GRADERS` by its name, or a function in code: `mylib.grading:check`, `./mine.py:check`.

    A function gets a candidate's text and one accepted answer, and says whether the text is right. Raises
    `ValueError` for a name that is neither, `SpecError` for code that cannot be loaded.
    """
    if name is None:
        return None
    where = code_name(name)
    if where is not None:
        return function_in_code(where)
    if name not in GRADERS:
        raise ValueError(f"grader must be one of {', '.join(GRADERS)}, or module:function, got {name!r}")
    return cast("Grader", name)


def truth(candidate: Candidate, prompt: Prompt, gold: Gold, *, grader: Grader | None = None) -> float:
    """1 where the candidate's final answer is right, else 0."""
    try:
        return float(is_right(candidate, prompt, gold, grader=grader))
    except ValueError as e:  # the row's own grader
        raise CapabilityError(f"prompt {prompt.id!r}: {e}") from None
