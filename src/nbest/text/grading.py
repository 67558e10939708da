"""Whether an answer is right: the one place that reads a candidate's final answer and compares it with gold."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Final, Literal, cast

import regex

from nbest.text.answer import Answer
from nbest.text.equivalence import equivalent
from nbest.text.extraction import extract
from nbest.text.normalise import normalised
from nbest.text.readers import read
from nbest.text.reasoning import answer_text
from nbest.text.spelling import respelled, text_key
from nbest.types import Candidate, Json, Prompt

GraderName = Literal["answer", "exact", "contains", "regex", "judge"]
"""How a text is compared with an accepted answer.

answer: its final answer is equivalent. exact: the text is the accepted answer, but for white space around
and Unicode normal forms. contains: the accepted answer stands in it, as words of their own, in any spelling.
regex: the accepted answer is a regular expression that is found in it. judge: a model says that both come to
the same result; it is the scorer `oracle` that asks it, as nothing here reaches an engine.
"""
Grader = GraderName | Callable[[str, str], bool]
"""One of these, or a function of a candidate's text and an accepted answer."""

JUDGE: Final = "judge"
GRADERS: Final[tuple[GraderName, ...]] = ("answer", "exact", "contains", "regex", JUDGE)
MAX_PATTERN_CHARS: Final = 1000
_MATCH_TIMEOUT_S: Final = 0.5
"""A pattern that takes longer on one text finds nothing."""
_MAX_CHARS: Final = 20_000


def final_answer(candidate: Candidate, prompt: Prompt, *, pattern: str | None = None) -> Answer | None:
    """The final answer of a candidate; None where it has none, or failed.

    It is read in the language that the candidate was asked for in, else in the prompt's: `1.234` of a German
    candidate is 1234, also where the prompt is English. With `pattern`, a regular expression, it is what the
    last match holds: in its first group, or as a whole where it has none.
    """
    if not candidate.is_usable:
        return None
    language = candidate.language or prompt.language
    if pattern is None:
        return extract(candidate.text, language=language)
    found = last_match(pattern, answer_text(candidate.text))
    if found is None:
        return None
    return read(found, language)


def is_right(
    candidate: Candidate, prompt: Prompt, gold: Mapping[str, Json], *, grader: Grader | None = None
) -> bool:
    """Whether the candidate's answer is a gold one. A failed candidate is not right.

    `gold` is what the prompt's row has beside the prompt (`Outcome.gold`, `Pool.gold`): its `answer` is one
    accepted answer or a list of them, each text or number. How they are compared is `grader`, else the row's
    own `grader`, else "answer": equivalence of final answers (`final_answer`, `equivalent`). Raises
    `KeyError` without an `answer`, `ValueError` for a row's grader that there is not, or that asks a model.
    """
    accepted = accepted_answers(gold)
    grade = grader_for(gold, grader)
    if not candidate.is_usable:
        return False
    if grade == "answer":
        answer = final_answer(candidate, prompt)
        return any(equivalent(answer, each) for each in accepted)

    if grade == JUDGE:
        raise ValueError("grader=judge asks a model: score the answers with the scorer `oracle`")
    compare = _COMPARISONS.get(grade) if isinstance(grade, str) else grade
    if compare is None:
        raise ValueError(f"grader must be one of {', '.join(GRADERS)}, got {grade!r}")
    text = answer_text(candidate.text)
    return any(compare(text, each) for each in accepted)


def grader_for(gold: Mapping[str, Json], grader: Grader | None) -> Grader:
    """`grader`, else the row's own, else "answer"."""
    return grader or cast("GraderName", gold.get("grader") or "answer")


def accepted_answers(gold: Mapping[str, Json]) -> tuple[str, ...]:
    """The accepted answers of a row. Raises `KeyError` where it has no `answer`."""
    answer = gold["answer"]
    if answer is None:
        raise KeyError("answer")
    if isinstance(answer, list):
        return tuple(map(str, cast("list[Json]", answer)))
    return (str(answer),)


def check_pattern(pattern: str) -> None:
    """Raises `ValueError` for what is no regular expression, or one of more than `MAX_PATTERN_CHARS` characters."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise ValueError(f"a pattern has at most {MAX_PATTERN_CHARS} characters, got {len(pattern)}")
    try:
        regex.compile(pattern)
    except regex.error as e:
        raise ValueError(f"{pattern!r} is no regular expression: {e}") from None


def last_match(pattern: str, text: str) -> str | None:
    """What the last match of `pattern` in the end of `text` holds; None without one, or if it takes too long."""
    found: str | None = None
    try:
        for match in regex.finditer(pattern, text[-_MAX_CHARS:], timeout=_MATCH_TIMEOUT_S):
            groups = [group for group in match.groups() if group is not None]
            found = next(iter(groups), match[0])
    except TimeoutError:
        return None
    return found


def _is_exact(text: str, accepted: str) -> bool:
    return _composed(text) == _composed(accepted)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _contains(text: str, accepted: str) -> bool:
    wanted = text_key(accepted)
    if not wanted:
        return False
    pattern = regex.escape(wanted)
    if _WORD_CHAR.match(wanted[0]):
        pattern = rf"(?<!{_EDGE}){pattern}"
    if _WORD_CHAR.match(wanted[-1]):
        pattern = rf"{pattern}(?!{_EDGE})"
    return regex.search(pattern, respelled(normalised(text))) is not None


_EDGE: Final = r"[\p{L}\p{M}\p{N}]"
_WORD_CHAR = regex.compile(
    r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}\p{Telugu}\p{N}]"
)
"""In other scripts words have no space between them, or endings are written to them."""


def _matches(text: str, accepted: str) -> bool:
    return last_match(accepted, text) is not None


_COMPARISONS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "exact": _is_exact,
    "contains": _contains,
    "regex": _matches,
}
