"""Selectors and judges read what a candidate answers: not its reasoning, and not nothing."""

import asyncio

import pytest

from judges import pool_of, shown
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.scoring.judge import Judge
from nbest.selection.chops import Chops
from nbest.selection.first import First
from nbest.selection.guard import Guard
from nbest.selection.mbr import Mbr
from nbest.selection.pairwise import JudgePairwise
from nbest.selection.pool import is_blank
from nbest.selection.xmbr import Xmbr
from nbest.types import Candidate, replace
from nbest.utilities.bleu import Bleu
from nbest.utilities.chrf import Chrf
from nbest.utilities.edit import Edit
from nbest.utilities.token_f1 import TokenF1
from scripted import PROMPT, Scripted

UTILITIES = [Chrf(), Bleu(), Edit(), TokenF1()]
EMPTY = ["", " \n", "\u200b\u200f", "\u00ad", "<think>用了很多字</think>", "<think>لم ينته"]


def choose(selector, pool, prompt=PROMPT):
    return asyncio.run(selector(prompt, pool, Context({"policy": Fake()})))


@pytest.mark.parametrize("utility", UTILITIES)
@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize(
    "text", ["الجواب ٤٢", "答案是42", "उत्तर ४२", "答えは42", "답은 42", "Ответ: 42", "คำตอบ ๔๒"]
)
def test_an_empty_text_never_wins_mbr_however_many_there_are(utility, empty, text):
    pool = pool_of(empty, empty, text, empty, empty)
    for selector in (Mbr(utility=utility), Mbr(utility=utility, mode="pruned"), Xmbr(utility=utility)):
        selection = choose(selector, pool)
        assert selection.winner.id == 2
        assert selection.weights == {2: 1.0}


def test_empty_texts_are_no_evidence():
    pool = pool_of("красный дом", "красный дом стоит", "", "", "", "красный")
    full = choose(Mbr(), [c for c in pool if c.text])
    with_empty = choose(Mbr(), pool)
    assert (with_empty.winner, with_empty.scores) == (full.winner, full.scores)


def test_where_all_are_empty_the_first_is_chosen():
    for selector in (Mbr(), Xmbr(utility=Chrf())):
        assert choose(selector, pool_of("", " ", "\u200b")).winner.id == 0


def test_evidence_without_an_own_text_chooses_the_first_own():
    pool = [
        Candidate(id=0, text="", language="en"),
        Candidate(id=1, text=" ", language="en"),
        Candidate(id=2, text="巴黎", language="zh"),
    ]
    assert choose(Xmbr(utility=Chrf()), pool).winner.id == 0


@pytest.mark.parametrize("utility", UTILITIES)
def test_reasoning_is_no_part_of_what_mbr_compares(utility):
    pool = pool_of(
        "<think>aaa bbb ccc ddd</think>第一个答案",
        "<think>completely other words</think>二番目の答え",
        "二番目の答え",
        "<think>aaa bbb ccc ddd</think>第三个",
    )
    assert choose(Mbr(utility=utility), pool).winner.id == 1


async def test_a_guard_sets_aside_what_only_reasons():
    pool = pool_of("<think>Das dauert lange und hört nicht auf", "Die Antwort ist zwölf.")
    ctx = Context({})
    selection = await Guard(selector=First())(replace(PROMPT, language="de"), pool, ctx)
    assert selection.winner.id == 1
    assert "0 empty" in ctx.notes[0]


async def test_a_guard_does_not_judge_the_language_of_reasoning():
    english = "<think>The user asks for the sum of the two numbers, so I add them up carefully.</think>"
    pool = pool_of(f"{english}Die Summe der beiden Zahlen beträgt genau zwölf.", "x")
    ctx = Context({})
    assert (await Guard(selector=First())(replace(PROMPT, language="de"), pool, ctx)).winner.id == 0
    assert "0 not in de" not in str(ctx.notes)


@pytest.mark.parametrize("method", [Chops(), JudgePairwise(), Judge()])
def test_judges_see_answers_without_reasoning(method):
    pool = pool_of("<think>secret</think>答案A", "[THINK]секрет[/THINK]ответ B")
    judge = Scripted(lambda _: "[[A=B]]" if isinstance(method, JudgePairwise) else "[[1]]")
    asyncio.run(method(PROMPT, pool, Context({"policy": Fake(), "judge": judge})))
    texts = {text for request in judge.requests for text in shown(request).values()}
    assert texts == {"答案A", "ответ B"}


@pytest.mark.parametrize(
    ("text", "blank"), [*((t, True) for t in EMPTY[:4]), ("☕", False), ("…", False), ("०", False)]
)
def test_what_a_reader_sees(text, blank):
    assert is_blank(text) is blank
