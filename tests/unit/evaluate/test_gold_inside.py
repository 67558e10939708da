import pytest

from nbest.evaluate.gold_inside import says_gold
from nbest.types import Candidate


def says(text, answer):
    return says_gold(Candidate(id=0, text=text), {"answer": answer})


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Die Hauptstadt ist Paris, sagt man.", "Paris"),
        ("It is PARIS", ["London", "paris"]),
        ("首都是巴黎。", "巴黎"),
        ("答えは東京です", "東京"),
        ("정답은 서울 입니다", "서울"),
        ("राजधानी दिल्ली है।", "दिल्ली"),
        ("Столица — Москва", "москва"),
        ("เมืองหลวงคือกรุงเทพ", "กรุงเทพ"),
        ("ووجدت ٤٢ بيضة لا غير", "42"),
        ("something\n答えは４２個ぐらい", "42"),
        ("3,5 kg", "3,5"),
    ],
)
def test_gold_is_inside(text, gold):
    assert says(text, gold)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Parisian nights", "Paris"),
        ("москвич", "москва"),
        ("1420 eggs", "42"),
        ("14.42", "42"),
        ("42.5", "42"),
        ("first 42 eggs, then more.\nThe answer is 50", "42"),  # on the way, not at the end
        ("<think>It is Paris</think> London", "Paris"),
        ("", "Paris"),
        ("anything", ""),
    ],
)
def test_gold_is_not_inside(text, gold):
    assert not says(text, gold)
