"""Which candidates of a pool give the same answer: found at once where that is quick, else beside the event loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nbest.offload import offload
from nbest.text.classes import answer_keys
from nbest.text.expressions import is_installed
from nbest.text.grading import final_answer
from nbest.types import Candidate, Prompt

_MAX_CHARS: Final = 1 << 15
"""Up to here, of all candidates together, reading them takes a few milliseconds."""


async def answer_classes(
    candidates: Sequence[Candidate], prompt: Prompt, *, seconds: float | None, pattern: str | None = None
) -> list[str | None]:
    """For each candidate what names the class of its final answer (`answer_keys`); None for one without an answer.

    `pattern` is as in `final_answer`. Long pools, answers that a pattern finds, and expressions that have to be
    compared as mathematics are left to a worker process. Raises
    `EngineTimeoutError` where that is not done within `seconds`, and `EngineError` above the limits of such work.
    """
    bare = [_bare(c) for c in candidates]
    asked = Prompt(id="", messages=(), language=prompt.language)
    num_chars = sum(len(c.text) + sum(len(call.arguments) for call in c.tool_calls) for c in bare)
    if pattern is not None or num_chars > _MAX_CHARS:
        return await offload(keys_of, bare, asked, pattern, seconds=seconds)

    answer_by_id = {c.id: final_answer(c, asked) for c in bare}
    expressions = {a.key for a in answer_by_id.values() if a and a.kind == "expression"}
    numbers = {a.key for a in answer_by_id.values() if a and a.kind == "number"}
    needs_mathematics = expressions and len(expressions) + len(numbers) > 1
    if needs_mathematics and is_installed():
        return await offload(keys_of, bare, asked, None, seconds=seconds)
    return answer_keys(bare, lambda c: answer_by_id[c.id])


def keys_of(candidates: Sequence[Candidate], prompt: Prompt, pattern: str | None) -> list[str | None]:
    """`answer_keys` of the candidates' final answers."""
    return answer_keys(candidates, lambda c: final_answer(c, prompt, pattern=pattern))


def _bare(candidate: Candidate) -> Candidate:
    """What of a candidate decides its answer."""
    return Candidate(
        id=candidate.id,
        text=candidate.text,
        finish=candidate.finish,
        language=candidate.language,
        error=candidate.error,
        tool_calls=candidate.tool_calls,
    )
