import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.context import Context
from nbest.scoring.aggregate import aggregate
from nbest.scoring.step_texts import is_at_end, note_half_steps, prefixes_of, steps_of
from nbest.types import Candidate


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
    ("text", "line", "blank_line"),
    [
        ("ก\n", True, False),
        ("ก\n\n", True, True),
        ("ก\u2028 ", True, False),
        ("ก\r\n \r\n ", True, True),
        ("。", False, False),
        ("\n\nก ", False, False),
        ("", False, False),
    ],
)
def test_whether_the_last_step_has_its_end(text, line, blank_line):
    assert (is_at_end(text), is_at_end(text, "blank_line")) == (line, blank_line)


def test_a_search_that_ends_steps_elsewhere_is_told_once():
    ctx = Context({})
    step, half = (Candidate(id=0, text=t, finish="step") for t in ("一\n", "一。"))
    whole = Candidate(id=1, text="一。")
    note_half_steps("prm", [step, whole, Candidate(id=2, text="", finish="step", error="no")], "line", ctx)
    assert not ctx.notes
    for _ in range(2):
        note_half_steps("prm", [step, half], "line", ctx)
    [note] = ctx.notes
    assert "boundary=newline" in note
    note_half_steps("prm", [step], "blank_line", ctx)
    assert "boundary=blank_line" in ctx.notes[1]


@pytest.mark.parametrize(
    ("how", "value"), [("last", 0.5), ("min", 0.25), ("product", 0.125), ("mean", 7 / 12)]
)
def test_the_values_of_steps_become_one(how, value):
    assert aggregate([1.0, 0.25, 0.5], how) == pytest.approx(value)
    assert aggregate([], how) is None


def test_values_below_zero_are_logarithms_and_their_product_is_their_sum():
    halves = [aggregate([-0.5] * n, "product") for n in (1, 2, 3)]
    assert halves == [-0.5, -1.0, -1.5]
    assert aggregate([-2.0, -2.0], "product") < aggregate([-0.1, -0.1], "product")
    assert aggregate([-1.0, 0.0], "product") == -1.0
