"""What a pool holds, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence

from nbest.types import Candidate, Outcome


def num_answers_and_steps(candidates: Sequence[Candidate]) -> tuple[int, int]:
    """How many candidates compete as answers, and how many are steps of a search on the way to them."""
    num_steps = sum(c.finish == "step" for c in candidates)
    return len(candidates) - num_steps, num_steps


def count_truncated(candidates: Sequence[Candidate]) -> int:
    """How many answers end where their tokens ran out (finish `length`); steps are no answers."""
    return sum(c.is_usable and c.finish == "length" for c in candidates)


def pool_in_words(num_answers: int, num_steps: int) -> str:
    """`8 candidates`, or of a search `8 candidates, 16 steps`."""
    answers = f"{num_answers} candidates"
    return f"{answers}, {num_steps} steps" if num_steps else answers


def truncation_warning(num_truncated: int, num_answers: int) -> str | None:
    """What to raise where answers were cut off; None where none was."""
    if not num_truncated:
        return None
    return (
        f"{num_truncated} of {num_answers} answers were cut off before their end (finish=length): raise"
        " max_tokens, such as --sample 'hedged(n=5, max_tokens=8192)', a --max-total-tokens that is too small,"
        " or the context length of the model's server"
    )


def why_no_answer(outcome: Outcome) -> str:
    """The error of an outcome without a selection, and what cut it short."""
    why = outcome.error or "nothing was chosen"
    if outcome.stopped in {"budget", "deadline"}:
        return f"{why} (the {outcome.stopped} ended it)"
    return why
