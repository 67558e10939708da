import asyncio
from random import Random

import pytest

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.lab.conversations import wrong_attempt
from nbest.lab.language_data import LANGUAGES
from nbest.lab.problems import problems, solution
from nbest.lab.word_steps import WordSteps
from nbest.types import Candidate, Message, Prompt, replace


def prompt_of(problem):
    return Prompt(
        id=problem.id, messages=(Message(role="user", content=problem.text),), language=problem.language
    )


def score(problem, text, finish="stop", prompt=None):
    candidate = Candidate(id=0, text=text, finish=finish)
    [s] = asyncio.run(WordSteps()(prompt or prompt_of(problem), [candidate], Context({})))
    return s


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_line_of_a_true_solution_is_right_and_wrong_attempts_fail_at_a_step(language):
    for problem in problems("test", 6, languages=[language]):
        true = solution(problem)
        lines = true.splitlines()
        s = score(problem, true)
        assert s.value == 1
        assert s.steps == (1.0,) * len(lines)
        for t in range(len(lines)):
            assert score(problem, "\n".join(lines[:t]) + "\n" * (t > 0), "step").value == 1
        wrong = score(problem, wrong_attempt(Random(problem.id), problem))
        assert wrong.value == 0
        assert list(wrong.steps) == sorted(wrong.steps, reverse=True)


def test_digits_of_another_script_are_the_same_numbers():
    [problem] = problems("test", 1, languages=["ja"])
    ascii_digits = solution(problem).translate({ord("０") + i: str(i) for i in range(10)})
    assert score(problem, ascii_digits).value == 1


def test_a_solution_that_stops_early_is_not_right():
    [problem] = problems("test", 1, languages=["th"])
    cut = "\n".join(solution(problem).splitlines()[:2])
    assert score(problem, cut).value == 0
    assert score(problem, cut, "step").value == 1
    assert score(problem, solution(problem) + "\n1", "step").value == 0


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_beginning_may_end_anywhere_in_a_line(language):
    [problem] = problems("test", 1, languages=[language])
    true = solution(problem)
    for at in range(len(true)):
        s = score(problem, true[:at], "step")
        assert s.value == 1
        assert set(s.steps) <= {1.0}


def test_a_line_that_can_no_longer_become_the_true_one_is_wrong():
    [problem] = problems("test", 1, languages=["th"])
    first, second, *_ = solution(problem).splitlines(keepends=True)
    assert score(problem, f"{first}๙๙๙", "step").steps == (1.0, 0.0)
    half = first + second.partition("=")[0]
    assert score(problem, half + "\n ", "step").value == 0
    assert score(problem, half + " ", "step").value == 1


def test_other_prompts_are_refused():
    [problem] = problems("test", 1, languages=["en"])
    prompt = prompt_of(problem)
    for other in (replace(prompt, id="mine"), replace(prompt, id="p0003-en"), replace(prompt, id="p0000-xx")):
        with pytest.raises(CapabilityError, match=r"nbest\.lab"):
            score(problem, "1", prompt=other)
