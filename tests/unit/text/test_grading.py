import pytest

from nbest.text.grading import check_pattern, final_answer, is_right
from nbest.types import Candidate, Message, Prompt


def prompt(language="en"):
    return Prompt(id="p", messages=(Message(role="user", content="?"),), language=language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Antwort: 1.234"),
        ("id", "Jawaban: 1.234"),
        ("ru", "Ответ: 1 234"),
        ("ar", "الجواب: ١٬٢٣٤"),
        ("zh", "答案：一千二百三十四"),
        ("hi", "उत्तर: १,२३४"),
        ("th", "คำตอบ: ๑,๒๓๔"),
    ],
)
def test_a_candidate_is_read_in_the_language_it_was_asked_for(language, text):
    candidate = Candidate(id=0, text=text, language=language)
    assert is_right(candidate, prompt("en"), {"answer": "1234"})
    assert is_right(Candidate(id=0, text=text), prompt(language), {"answer": 1234})


def test_without_a_language_of_its_own_it_is_read_in_the_prompts():
    candidate = Candidate(id=0, text="Antwort: 1.5")
    assert final_answer(candidate, prompt("en")) == final_answer(candidate, prompt("en-GB"))
    assert not is_right(Candidate(id=0, text="1.234"), prompt("en"), {"answer": "1234"})
    assert is_right(Candidate(id=0, text="1.234", language="de"), prompt("en"), {"answer": "1234"})


def test_any_answer_of_a_list_is_right():
    gold = {"answer": ["USA", "United States", 42]}
    assert is_right(Candidate(id=0, text="Answer: united states."), prompt(), gold)
    assert is_right(Candidate(id=0, text="So it is 42."), prompt(), gold)
    assert not is_right(Candidate(id=0, text="Answer: Canada"), prompt(), gold)


def test_a_failed_candidate_is_never_right():
    assert not is_right(Candidate(id=0, text="42", finish="error", error="lost"), prompt(), {"answer": "42"})


@pytest.mark.parametrize("gold", [{}, {"answer": None}, {"reference": "42"}])
def test_a_row_without_an_answer_cannot_be_graded(gold):
    with pytest.raises(KeyError):
        is_right(Candidate(id=0, text="42"), prompt(), gold)


@pytest.mark.parametrize(
    ("grader", "text", "answer", "right"),
    [
        ("exact", " 東京\n", "東京", True),
        ("exact", "東京です", "東京", False),
        ("exact", "Cafe\u0301", "Café", True),
        ("contains", "Die Hauptstadt ist PARIS, glaube ich.", "Paris", True),
        ("contains", "Parisian food", "Paris", False),
        ("contains", "答案可能是北京吧", "北京", True),
        ("contains", "정답은 서울입니다", "서울", True),
        ("contains", "هي القَاهِرَة بالطبع", "القاهرة", True),
        ("contains", "нет 420", "42", False),
        ("contains", "<think>Paris?</think>Rome", "Paris", False),
        ("regex", "कुल ४२ सेब", r"[४4][२2]\b", True),
        ("regex", "ไม่มี", r"\d", False),
        ("regex", "a" * 5000 + "b", r"(a+)+$", False),  # would take for ever
        ("answer", "कुल ४२ सेब", "42", True),
    ],
)
def test_a_grader_is_chosen_by_the_row_or_by_the_caller(grader, text, answer, right):
    candidate = Candidate(id=0, text=text)
    assert is_right(candidate, prompt(), {"answer": answer, "grader": grader}) is right
    assert is_right(candidate, prompt(), {"answer": ["∅", answer], "grader": "exact"}, grader=grader) is right


def test_a_function_grades():
    candidate = Candidate(id=0, text="<think>no</think>abc")
    assert is_right(
        candidate, prompt(), {"answer": "3"}, grader=lambda text, answer: len(text) == int(answer)
    )


def test_a_grader_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="must be one of answer, exact, contains, regex, judge, got 'fuzzy'"):
        is_right(Candidate(id=0, text="42"), prompt(), {"answer": "42", "grader": "fuzzy"})


@pytest.mark.parametrize(
    ("text", "pattern", "key"),
    [
        ("RESULT<41> RESULT<42>", r"RESULT<(\d+)>", "42"),
        ("결과값=42개 (41개 아님)", r"결과값=(\d+)", "42"),
        ("最終：四十二", r"最終：(.+)", "42"),
        ("<think>=7</think>x=8", r"=\d", "8"),
        ("nothing", r"\d+", None),
    ],
)
def test_a_pattern_of_ones_own_finds_the_answer(text, pattern, key):
    answer = final_answer(Candidate(id=0, text=text), prompt("ja"), pattern=pattern)
    assert (answer and answer.key) == key


@pytest.mark.parametrize("pattern", ["(", "x" * 1001])
def test_a_pattern_that_cannot_be_used_is_refused(pattern):
    with pytest.raises(ValueError, match=r"no regular expression|at most 1000"):
        check_pattern(pattern)
