"""The gold answer of a prompt's row, as oracles read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.judging.gold_judge import GoldJudge
from nbest.registry.outside import code_name, function_in_code
from nbest.text.grading import GRADERS, JUDGE, Grader, accepted_answers, grader_for, is_right
from nbest.text.reasoning import answer_text
from nbest.types import Candidate, Json, Prompt

Gold = Mapping[str, Json]
"""The columns of a prompt's row that its text does not show."""

_DEFAULT_JUDGE: Final = GoldJudge()


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
    where = None
    if name is not None:
        where = code_name(name)
    if where is not None:
        return function_in_code(where)
    if name is not None and name not in GRADERS:
        raise ValueError(f"grader must be one of {', '.join(GRADERS)}, or module:function, got {name!r}")
    return cast("Grader | None", name)


async def truths(
    prompt: Prompt,
    candidates: Sequence[Candidate],
    ctx: Context,
    *,
    grader: Grader | None = None,
    judge: GoldJudge = _DEFAULT_JUDGE,
) -> list[float | None]:
    """1 for each candidate whose final answer is right, else 0, in order; a failed candidate is not right.

    `grader` outranks the row's own. With the grader "judge", `judge` is asked, and None stands where it gave
    no verdict. Raises `CapabilityError` for a row without a gold answer or with a grader that there is not,
    `MissingEngineError` where a judge is needed and there is no engine.
    """
    gold = gold_of(prompt, ctx)
    chosen = grader_for(gold, grader)
    if chosen != JUDGE:
        try:
            return [float(is_right(c, prompt, gold, grader=chosen)) for c in candidates]
        except ValueError as e:  # the row's own grader
            raise CapabilityError(f"prompt {prompt.id!r}: {e}") from None

    texts = [answer_text(c.text) for c in candidates if c.is_usable]
    verdicts = iter(await judge.verdicts(prompt, texts, accepted_answers(gold), ctx))
    return [next(verdicts) if c.is_usable else 0.0 for c in candidates]
