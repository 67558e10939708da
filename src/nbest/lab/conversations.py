"""Training conversations: solved problems, corrected attempts, and several problems in a row.

In a wrong attempt one step is corrupted and everything after it follows consistently, so that the final line
always agrees with the steps above it.
"""

import random
from dataclasses import dataclass

from nbest.lab.language_data import LANGUAGES
from nbest.lab.problems import Problem, solution, tell, write_solution
from nbest.lab.stories import MAX_NUM_STEPS, MAX_VALUE, MIN_VALUE, Equation, calculate, draw_story

REVISION_RATE = 0.09
"""Share of conversations in which earlier attempts are corrected."""
SERIES_RATE = 0.05
"""Share of conversations with several independent problems, which also train later positions."""
ALREADY_RIGHT_RATE = 0.2
"""Share of revisions whose last attempt was right, so that a reviser may also keep an answer."""
_ERRORS = (-10, -2, -1, 1, 2, 10)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; `is_target` marks the assistant messages that carry training loss."""

    role: str
    text: str
    is_target: bool = False


def draw_conversation(rng: random.Random, max_num_steps: int = MAX_NUM_STEPS) -> tuple[Turn, ...]:
    """Draw one training conversation in a language drawn by the languages' shares."""

    def draw_problem() -> Problem:
        return tell(draw_story(rng, "train", max_num_steps), language)

    languages = list(LANGUAGES.values())
    language = rng.choices(languages, [words.share for words in languages])[0].code
    kind = rng.random()
    if kind < REVISION_RATE:
        return revision(rng, draw_problem(), num_attempts=rng.choice((1, 1, 2, 3)))
    num_problems = 1
    if kind < REVISION_RATE + SERIES_RATE:
        num_problems = rng.choice((2, 3, 4))
    turns: list[Turn] = []
    for _ in range(num_problems):
        problem = draw_problem()
        turns += [Turn("user", problem.text), Turn("assistant", solution(problem), is_target=True)]
    return tuple(turns)


def revision(rng: random.Random, problem: Problem, num_attempts: int) -> tuple[Turn, ...]:
    """The problem, `num_attempts` attempts each followed by a request to check, and the right solution."""
    retry = LANGUAGES[problem.language].retry
    turns = [Turn("user", problem.text)]
    for index in range(num_attempts):
        is_right = index == num_attempts - 1 and rng.random() < ALREADY_RIGHT_RATE
        attempt = solution(problem) if is_right else wrong_attempt(rng, problem)
        turns += [Turn("assistant", attempt), Turn("user", retry)]
    return (*turns, Turn("assistant", solution(problem), is_target=True))


def wrong_attempt(rng: random.Random, problem: Problem) -> str:
    """A solution with one corrupted step, consistently continued to a wrong final number."""
    for _ in range(50):
        givens, equations = _corrupt(rng, problem)
        values = [equation.value for equation in equations]
        if all(MIN_VALUE <= value <= MAX_VALUE for value in values) and str(values[-1]) != problem.answer:
            return write_solution(problem, givens, equations)
    # Near the limits nearly every corruption is out of range.
    slipped = _slip(rng, problem.story.equations[-1])
    return write_solution(problem, problem.story.givens, (*problem.story.equations[:-1], slipped))


def _corrupt(rng: random.Random, problem: Problem) -> tuple[list[tuple[str, int]], list[Equation]]:
    """One attempt: a slip in arithmetic, a misread number or operation, a miscopied number, a lost step."""
    truth = problem.story.equations
    givens = list(problem.story.givens)
    position = rng.randrange(len(truth))
    flaw = rng.choices(("slip", "misread", "operator", "miscopy", "skip"), (4, 2, 2, 1, 1))[0]
    equations: list[Equation] = []
    value = problem.story.start
    for index, true_equation in enumerate(truth):
        operator, right = true_equation.operator, true_equation.right
        if index == position and flaw == "skip" and len(truth) > 1:
            continue
        if index == position and flaw in ("misread", "miscopy"):
            right = max(MIN_VALUE, right + rng.choice(_ERRORS))
        if index == position and flaw == "operator":
            operator = rng.choice([other for other in "+-×÷" if other != operator])
        if index == position and flaw in ("misread", "operator"):
            givens[index] = (operator, right)
        equation = Equation(value, operator, right, calculate(value, operator, right))
        if index == position and flaw == "slip":
            equation = _slip(rng, equation)
        equations.append(equation)
        value = equation.value
    return givens, equations


def _slip(rng: random.Random, equation: Equation) -> Equation:
    error = rng.choice(_ERRORS)
    if equation.value + error < MIN_VALUE:
        error = abs(error)
    value = equation.value + error
    return Equation(equation.left, equation.operator, equation.right, value)
