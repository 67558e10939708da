import numpy as np

from judges import is_repair, pool_of, shown
from nbest.context import Context
from nbest.registry import parse
from nbest.selection.mbr import Mbr
from nbest.utilities.judged import Judged
from scripted import PROMPT, Scripted

TEXTS = ["答案：12", "الجواب: ١٢", "คำตอบ: ๑๓"]


def grades(request):
    texts = shown(request)
    return "[[٢]]" if "๑๓" in texts["1"] + texts["2"] else "It says the same.\n[[９]]"


async def matrix(judge, hypotheses=TEXTS, references=TEXTS):
    ctx = Context({"policy": judge}, prompt_id="p")
    return await Judged().for_prompt(PROMPT)(hypotheses, references, ctx), ctx


async def test_each_ordered_pair_of_different_texts_is_graded_in_any_digits():
    judge = Scripted(grades)
    values, ctx = await matrix(judge)
    assert values.tolist() == [[10, 9, 2], [9, 10, 2], [2, 2, 10]]
    assert ctx.meter.usage["judge"].calls == 6
    assert all("7 + 5" in r.prompt.messages[0].content for r in judge.requests)


async def test_a_pair_is_graded_once_however_often_it_stands_there():
    judge = Scripted(grades)
    values, _ = await matrix(judge, [TEXTS[0]] * 3, [TEXTS[2], TEXTS[2]])
    assert values.tolist() == [[2, 2]] * 3
    assert len(judge.requests) == 1


async def test_a_pair_without_a_grade_is_asked_again_then_worth_the_mean_and_noted():
    judge = Scripted(lambda r: "no idea" if "๑๓" in shown(r)["1"] else "[[8]]")
    values, ctx = await matrix(judge)
    assert values[2].tolist() == [8, 8, 10]
    assert "2 of 6 pairs" in ctx.notes[0]
    assert sum(is_repair(r) for r in judge.requests) == 2


async def test_without_any_grade_all_are_worth_the_same():
    values, _ = await matrix(Scripted(lambda _: "…"))
    assert np.ptp(values) == 0


async def test_mbr_tells_it_the_prompt_and_chooses_what_agrees_most():
    judge = Scripted(grades)
    selection = await Mbr(utility=Judged())(PROMPT, pool_of(*reversed(TEXTS)), Context({"policy": judge}))
    assert selection.winner.text in TEXTS[:2]
    assert "7 + 5" in judge.requests[0].prompt.messages[0].content


async def test_nothing_to_compare_is_no_call():
    judge = Scripted(grades)
    values, _ = await matrix(judge, [], TEXTS)
    assert values.shape == (0, 3)
    assert judge.requests == []


def test_it_has_a_spec():
    assert parse("selectors", "mbr(utility=judged(max_tokens=64))").utility == Judged(max_tokens=64)
