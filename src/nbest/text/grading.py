"""Whether an answer is right: the one place that reads a candidate's final answer and compares it with gold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from nbest.text.answer import Answer
from nbest.text.equivalence import equivalent
from nbest.text.extraction import extract
from nbest.types import Candidate, Json, Prompt


def final_answer(candidate: Candidate, prompt: Prompt) -> Answer | None:
    """The final answer of a candidate; None where it has none, or failed.

    It is read in the language that the candidate was asked for in, else in the prompt's: `1.234` of a German
    candidate is 1234, also where the prompt is English.
    """
    if not candidate.is_usable:
        return None
    return extract(candidate.text, language=candidate.language or prompt.language)


def is_right(candidate: Candidate, prompt: Prompt, gold: Mapping[str, Json]) -> bool:
    """Whether the candidate's final answer is a gold one. A failed candidate is not right.

    `gold` is what the prompt's row has beside the prompt (`Outcome.gold`, `Pool.gold`): its `answer` is one
    accepted answer or a list of them, each text or number. Raises `KeyError` without an `answer`.
    """
    answer = final_answer(candidate, prompt)
    return any(equivalent(answer, accepted) for accepted in accepted_answers(gold))


def accepted_answers(gold: Mapping[str, Json]) -> tuple[str, ...]:
    """The accepted answers of a row. Raises `KeyError` where it has no `answer`."""
    answer = gold["answer"]
    if answer is None:
        raise KeyError("answer")
    given = cast("list[Json]", answer) if isinstance(answer, list) else [answer]
    return tuple(str(a) for a in given)
