import itertools
import random
import re
import subprocess
import sys
from collections import defaultdict

import pytest

from nbest.lab.conversations import draw_conversation, revision, wrong_attempt
from nbest.lab.language_data import LANGUAGES
from nbest.lab.problems import extract_answer, is_correct, problems, solution, tell
from nbest.lab.stories import MAX_NUM_STEPS, NUM_NAMES, NUM_OBJECTS, SPLITS, calculate, draw_story, split_of

EQUATION = re.compile(r"(\d+)\s*([+×÷＋－-])\s*(\d+)\s*[=＝]\s*(\d+)")
ASCII_OPERATOR = {"＋": "+", "－": "-"}


def equations_in(text: str) -> list[tuple[int, str, int, int]]:
    found = EQUATION.findall(text)
    return [(int(a), ASCII_OPERATOR.get(op, op), int(b), int(value)) for a, op, b, value in found]


def test_the_same_problems_exist_in_every_language():
    by_story = defaultdict(list)
    for problem in problems("test", 40):
        by_story[problem.story_id].append(problem)
    assert len(by_story) == 40
    for story_id, told in by_story.items():
        assert [problem.language for problem in told] == list(LANGUAGES)
        assert len({(problem.story, problem.answer, problem.num_steps) for problem in told}) == 1
        assert [problem.id for problem in told] == [f"{story_id}-{language}" for language in LANGUAGES]


def test_equations_are_the_same_in_every_language():
    by_story = defaultdict(set)
    for problem in problems("validation", 30):
        by_story[problem.story_id].add(tuple(equations_in(solution(problem))))
    assert all(len(equations) == 1 for equations in by_story.values())


def test_splits_are_disjoint_by_structure():
    structures = {
        split: {problem.story.structure for problem in problems(split, 300, languages=["en"])}
        for split in SPLITS
    }
    assert not structures["train"] & structures["test"]
    assert not structures["train"] & structures["validation"]
    assert not structures["test"] & structures["validation"]
    assert all(len(found) == 300 for found in structures.values())


def test_training_conversations_use_no_held_out_structure():
    rng = random.Random(0)
    assert all(split_of(draw_story(rng, "train")) == "train" for _ in range(200))


def test_problems_are_deterministic_in_any_process():
    script = "from nbest.lab.problems import problems; print([p.text for p in problems('test', 5, 3)])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            check=True,
            encoding="utf-8",
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "utf-8"},
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert outputs == {f"{[problem.text for problem in problems('test', 5, 3)]}\n"}


def test_seeds_differ_and_longer_lists_extend_shorter_ones():
    assert problems("test", 5, 0) != problems("test", 5, 1)
    assert problems("test", 8, 0)[: 5 * len(LANGUAGES)] == problems("test", 5, 0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_solutions_are_correct_and_true(language: str):
    for problem in problems("test", 60, languages=[language]):
        text = solution(problem)
        equations = equations_in(text)
        assert is_correct(problem, text)
        assert len(equations) == problem.num_steps == len(text.splitlines()) - 2
        assert all(calculate(a, operator, b) == value for a, operator, b, value in equations)
        assert all(a % b == 0 for a, operator, b, _ in equations if operator == "÷")
        assert str(equations[-1][-1]) == problem.answer
        assert problem.answer.isascii()


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_the_languages_own_digits_are_used(language: str):
    digits = set(LANGUAGES[language].digits)
    for problem in problems("test", 60, languages=[language]):
        found = {character for character in problem.text + solution(problem) if character.isdecimal()}
        assert found <= digits


def test_at_least_four_languages_have_native_digits():
    assert len({words.digits for words in LANGUAGES.values()} - {"0123456789"}) >= 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_placeholder_is_filled_and_lists_are_aligned(language: str):
    words, english = LANGUAGES[language], LANGUAGES["en"]
    for field in (
        "start",
        "add",
        "sub",
        "mul",
        "double",
        "triple",
        "div",
        "half",
        "again",
        "aside",
        "ask",
        "step",
    ):
        assert len(getattr(words, field)) == len(getattr(english, field)), field
    assert len(words.names) == NUM_NAMES
    assert len(words.obj) == NUM_OBJECTS
    assert all(len(forms) == (4 if key.startswith("name") else 8) for key, forms in words.more_forms.items())
    for problem in problems("test", 100, languages=[language]):
        assert not set("{}") & set(problem.text + solution(problem))


def test_shares_sum_to_one_and_differ():
    shares = [words.share for words in LANGUAGES.values()]
    assert sum(shares) == pytest.approx(1)
    assert max(shares) >= 5 * min(shares)


@pytest.mark.parametrize("language", LANGUAGES)
def test_wrong_attempts_are_wrong_and_never_contradict_their_steps(language: str):
    rng = random.Random(0)
    for _ in range(150):
        problem = tell(draw_story(rng, "train"), language)
        attempt = wrong_attempt(rng, problem)
        equations = equations_in(attempt)
        assert not is_correct(problem, attempt)
        assert extract_answer(attempt) == str(equations[-1][-1])
        assert all(before[-1] == after[0] for before, after in itertools.pairwise(equations))


def test_a_revision_ends_in_the_right_solution_and_only_that_is_trained_on():
    rng = random.Random(0)
    problem = tell(draw_story(rng, "train"), "sw")
    turns = revision(rng, problem, num_attempts=2)
    assert [turn.role for turn in turns] == ["user", "assistant"] * 3
    assert [turn.is_target for turn in turns] == [False] * 5 + [True]
    assert turns[-1].text == solution(problem)


def test_conversations_contain_revisions_at_the_stated_rate():
    rng = random.Random(0)
    conversations = [draw_conversation(rng) for _ in range(2000)]
    num_revisions = sum(
        any(t.role == "assistant" and not t.is_target for t in turns) for turns in conversations
    )
    assert 0.07 < num_revisions / len(conversations) < 0.11


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Numbers: 4, 2\nFirst 4 + 2 = 6 apples\nAnswer: 6", "6"),
        ("الجواب: ٤٢", "42"),
        ("उत्तर: ४२\n", "42"),
        ("คำตอบ: ๔๒", "42"),
        ("উত্তর: ৪২", "42"),
        ("答え：４２", "42"),
        ("Réponse : 42", "42"),
        ("Then 4 + 2 = 6 apples", None),
        ("Answer: 6 apples and", None),
        ("", None),
    ],
)
def test_extract_answer_reads_the_final_line(text: str, answer: str | None):
    assert extract_answer(text) == answer


def test_russian_and_arabic_nouns_agree_with_their_number():
    russian, arabic = LANGUAGES["ru"], LANGUAGES["ar"]
    assert [russian.noun(1, n) for n in (21, 2, 5, 11, 12)] == ["монета", "монеты", "монет", "монет", "монет"]
    assert russian.noun(1, 21, case="_acc") == "монету"
    assert [arabic.noun(0, n) for n in (3, 10, 11, 100, 103)] == [
        "تفاحات",
        "تفاحات",
        "تفاحة",
        "تفاحة",
        "تفاحات",
    ]


def test_unknown_languages_and_splits_are_refused():
    with pytest.raises(ValueError, match="xx"):
        problems("test", 1, languages=["xx"])
    with pytest.raises(ValueError, match="dev"):
        problems("dev", 1)  # type: ignore[arg-type]


def test_all_step_counts_occur():
    counts = {problem.num_steps for problem in problems("test", 100, languages=["en"])}
    assert counts == set(range(1, MAX_NUM_STEPS + 1))
