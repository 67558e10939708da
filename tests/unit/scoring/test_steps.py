import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.scoring.aggregate import aggregate
from nbest.scoring.steps import prefixes_of, steps_of


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("数：3, ×4\n最初 3 × 4 = 12\n答案：12", ["数：3, ×4\n", "最初 3 × 4 = 12\n", "答案：12"]),
        ("خطوة أولى\r\n\r\nالجواب: ٤٢\r\n", ["خطوة أولى\r\n\r\n", "الجواب: ٤٢\r\n"]),
        ("\n\n一\u2028二", ["\n\n一\u2028", "二"]),
        ("ไม่มีบรรทัดใหม่", ["ไม่มีบรรทัดใหม่"]),
        (" \n\t\n", []),
        ("", []),
    ],
)
def test_a_step_is_a_line_that_says_something(text, steps):
    assert steps_of(text) == steps


def test_or_what_stands_between_blank_lines():
    assert steps_of("a\nb\n\n \nc\n\nd", "blank_line") == ["a\nb\n\n \n", "c\n\n", "d"]


@pytest.mark.parametrize("split", ["line", "blank_line"])
@given(text=st.text(st.sampled_from("aक้。. \n\r\u2028")))
def test_steps_make_up_the_text(split, text):
    steps = steps_of(text, split)
    assert "".join(steps) == (text if text.strip() else "")
    assert all(s.strip() for s in steps)
    assert prefixes_of(text, split)[-1:] == ([text] if text.strip() else [])


@pytest.mark.parametrize(
    ("how", "value"), [("last", 0.5), ("min", 0.25), ("product", 0.125), ("mean", 7 / 12)]
)
def test_the_values_of_steps_become_one(how, value):
    assert aggregate([1.0, 0.25, 0.5], how) == pytest.approx(value)
    assert aggregate([], how) is None
