import pytest

from nbest.text.grading import final_answer, is_right
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
