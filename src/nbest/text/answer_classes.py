"""Which candidates of a pool give the same answer: found at once where that is quick, else beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from nbest.offload import Turns, offload
from nbest.text.answer import Answer
from nbest.text.answer_words import convention_code
from nbest.text.classes import answer_keys
from nbest.text.expressions import is_installed
from nbest.text.extraction import extract
from nbest.text.grading import final_answer
from nbest.types import Candidate, Prompt

_MAX_CHARS: Final = 1 << 15
"""Of all candidates together, that are read here, one by one."""
_MAX_TEXT: Final = 1 << 12
"""Up to here, reading one takes a few milliseconds."""
_SAMPLES: Final = (
    "The answer is 4.",
    "答案是 (B)",
    "x = 1,5 kg",
    "2026-01-02",
    r"\boxed{\frac{1}{2}}",
    "yes",
    "因为二加二是四，所以是四。 3",
    "So there are between 4 and 5 apples, or half of -7 million, in 2 boxes at 5 pm.",
    "[[4]] 3",
    "x = 2 or x = -3",
    "twenty-one",
)
"""Answers of every kind: reading them compiles what reading others needs."""
_prepared: Final[set[str | None]] = set()
"""Languages whose patterns are compiled in this process."""


async def answer_classes(
    candidates: Sequence[Candidate], prompt: Prompt, *, seconds: float | None, pattern: str | None = None
) -> list[str | None]:
    """For each candidate what names the class of its final answer (`answer_keys`); None for one without an answer.

    `pattern` is as in `final_answer`. Long pools, answers that a pattern finds, and expressions that have to be
    compared as mathematics are left to a worker process. Raises
    `EngineTimeoutError` where that is not done within `seconds`, and `EngineError` above the limits of such work.
    """
    if pattern is not None or _is_long(candidates):
        return await _keys_of_worker(candidates, prompt, pattern, seconds)

    await prepare({c.language or prompt.language for c in candidates})
    turns = Turns()
    answer_by_id: dict[int, Answer | None] = {}
    for candidate in candidates:
        answer_by_id[candidate.id] = final_answer(candidate, prompt)
        if turns.is_due:
            await turns.give()
    expressions = {a.key for a in answer_by_id.values() if a and a.kind == "expression"}
    numbers = {a.key for a in answer_by_id.values() if a and a.kind == "number"}
    needs_mathematics = expressions and len(expressions) + len(numbers) > 1
    if needs_mathematics and is_installed():
        return await _keys_of_worker(candidates, prompt, None, seconds)
    return answer_keys(candidates, lambda c: answer_by_id[c.id])


def _is_long(candidates: Sequence[Candidate]) -> bool:
    num_chars = 0
    for candidate in candidates:
        if len(candidate.text) > _MAX_TEXT:
            return True
        num_chars += len(candidate.text)
        if candidate.tool_calls:
            num_chars += sum(len(call.arguments) for call in candidate.tool_calls)
    return num_chars > _MAX_CHARS


async def _keys_of_worker(
    candidates: Sequence[Candidate], prompt: Prompt, pattern: str | None, seconds: float | None
) -> list[str | None]:
    bare = [_bare(c) for c in candidates]
    asked = Prompt(id="", messages=(), language=prompt.language)
    return await offload(keys_of, bare, asked, pattern, seconds=seconds)


def keys_of(candidates: Sequence[Candidate], prompt: Prompt, pattern: str | None) -> list[str | None]:
    """`answer_keys` of the candidates' final answers."""
    return answer_keys(candidates, lambda c: final_answer(c, prompt, pattern=pattern))


async def prepare(languages: Iterable[str | None]) -> None:
    """Compiles the patterns of languages that were not read yet, in a thread: half a second for each."""
    codes = {convention_code(language) for language in languages} - _prepared
    if codes:
        await asyncio.to_thread(_read_samples, codes)
        _prepared.update(codes)


def _read_samples(codes: Iterable[str | None]) -> None:
    for code in codes:
        for text in _SAMPLES:
            extract(text, language=code)


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
