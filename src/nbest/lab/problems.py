"""Multi-step arithmetic word problems, the same ones in every language.

`problems` writes each story in every language, with its own sentences, digits and punctuation (see
`languages.toml`), so results are comparable over languages problem by problem. A solution first restates
the numbers and operations of the text, then has one equation per line, then the answer.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nbest.lab.language_data import LANGUAGES, Language
from nbest.lab.stories import SPLITS, Equation, Operation, Split, Story, draw_story


@dataclass(frozen=True, slots=True)
class Problem:
    """A story in one language."""

    id: str
    """Unique, such as `p0017-th`."""
    story_id: str
    """Shared by all languages, such as `p0017`."""
    language: str
    text: str
    answer: str
    """The final number in ASCII digits."""
    num_steps: int
    story: Story


def problems(
    split: Split, n: int, seed: int = 0, languages: Sequence[str] = tuple(LANGUAGES)
) -> list[Problem]:
    """`n` stories, each told in every language; problem-major order; a longer list extends a shorter one.

    No two stories share a structure. Raises `ValueError` for an unknown split or language.
    """
    unknown = [language for language in languages if language not in LANGUAGES]
    if unknown:
        raise ValueError(f"unknown languages {unknown}; known: {', '.join(LANGUAGES)}")
    told = enumerate(stories(split, n, seed))
    return [tell(story, language, f"p{i:04d}") for i, story in told for language in languages]


def stories(split: Split, n: int, seed: int = 0) -> list[Story]:
    """The stories of `problems`, before they are written in languages. Raises `ValueError` for an unknown split."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    rng = random.Random(f"{split} {seed}")  # noqa: S311
    by_structure: dict[str, Story] = {}
    while len(by_structure) < n:
        story = draw_story(rng, split)
        by_structure.setdefault(story.structure, story)
    return list(by_structure.values())


def tell(story: Story, language: str, story_id: str = "p0000") -> Problem:
    """The story as a problem in a language."""
    words = LANGUAGES[language]
    sentences = [_sentence(words, story, words.start[story.start_variant], story.start)]
    sentences += [_operation_sentence(words, story, operation) for operation in story.operations]
    if story.aside is not None:
        variant, number, position = story.aside
        sentences.insert(position, _sentence(words, story, words.aside[variant], number))
    sentences.append(_sentence(words, story, words.ask[story.ask_variant], story.start))
    return Problem(
        id=f"{story_id}-{language}",
        story_id=story_id,
        language=language,
        text=words.joiner.join(sentences),
        answer=str(story.equations[-1].value),
        num_steps=len(story.operations),
        story=story,
    )


def solution(problem: Problem) -> str:
    """The correct solution: the numbers of the text, one equation per line, the answer."""
    return write_solution(problem, problem.story.givens, problem.story.equations)


def write_solution(problem: Problem, givens: Sequence[tuple[str, int]], equations: Sequence[Equation]) -> str:
    """A solution in the problem's language; its last line states the last value, right or wrong."""
    words = LANGUAGES[problem.language]
    numbers = [words.number(problem.story.start)]
    numbers += [words.operator(operator).strip() + words.number(number) for operator, number in givens]
    lines = [words.given.format(list=words.separator.join(numbers))]
    for index, equation in enumerate(equations):
        template = words.step[min(index, 1)]
        lines.append(
            _sentence(words, problem.story, template, equation.value, lhs=_left_side(words, equation))
        )
    lines.append(words.answer.format(n=words.number(equations[-1].value)))
    return "\n".join(lines)


def extract_answer(text: str) -> str | None:
    """The number of the final answer line in ASCII digits; None when the last line is no answer line."""
    last_line = text.strip().splitlines()[-1:] or [""]
    match = _ANSWER_LINE.fullmatch(last_line[0].strip())
    if match is None:
        return None
    return str(int(match.group("number")))


def is_correct(problem: Problem, text: str) -> bool:
    """Whether the solution's final line states the right number (digits of any script)."""
    return extract_answer(text) == problem.answer


_ANSWER_LINE = re.compile(
    "(?:"
    + "|".join(re.escape(words.answer.format(n="")) for words in LANGUAGES.values())
    + r")\s*(?P<number>\d{1,9})"
)


def _operation_sentence(words: Language, story: Story, operation: Operation) -> str:
    templates = words.templates(operation.kind, operation.number)
    return _sentence(words, story, templates[operation.variant % len(templates)], operation.number)


def _sentence(words: Language, story: Story, template: str, number: int, *, lhs: str = "") -> str:
    return template.format(
        n=words.number(number),
        word=words.word(number),
        noun=words.noun(story.obj, number),
        noun_acc=words.noun(story.obj, number, case="_acc"),
        lhs=lhs,
        **words.forms(story.name, story.obj),
    )


def _left_side(words: Language, equation: Equation) -> str:
    return words.number(equation.left) + words.operator(equation.operator) + words.number(equation.right)
