import asyncio

import pytest

from judges import pool_of, shown
from nbest.context import Context
from nbest.datasets import Pool
from nbest.engines.fake import Fake
from nbest.errors import EngineError
from nbest.run import select
from nbest.selection.first import First
from nbest.selection.fuse import Fuse
from nbest.types import Budget, Completion, Message, replace
from scripted import PROMPT, Scripted

POOL = pool_of("seven and five", "is 12", "is 12", "twelve")


def fuse(say, selector=None, prompt=PROMPT, pool=POOL, **how):
    fusor = Scripted(say)
    ctx = Context({"policy": Fake(), "fusor": fusor}, **how)
    ctx.candidates = list(pool)
    return asyncio.run((selector or Fuse(fallback=First()))(prompt, pool, ctx)), fusor, ctx


def test_the_fused_answer_is_a_new_candidate_that_names_its_parents():
    selection, fusor, ctx = fuse(lambda _: "7 + 5 = 12")
    assert selection.winner.text == "7 + 5 = 12"
    assert selection.winner.id == 4
    assert selection.winner.parents == (0, 1, 3)
    assert ctx.candidates[-1] == selection.winner
    assert sorted(shown(fusor.requests[0]).values()) == ["is 12", "seven and five", "twelve"]
    assert selection.weights == {0: 1 / 3, 1: 1 / 3, 3: 1 / 3}
    assert set(ctx.meter.usage) == {"fusor"}


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (lambda _: EngineError("HTTP 503"), "HTTP 503"),
        (lambda _: " \n", "wrote nothing"),
        (lambda _: Completion(text="7 + 5 = 1", finish="length"), "cut off"),
    ],
)
def test_a_fusor_that_fails_leaves_the_choice_to_the_fallback(say, why):
    selection, _, ctx = fuse(say)
    assert selection.winner == POOL[0]
    assert why in ctx.notes[0]
    assert why in selection.rationale
    assert len(ctx.candidates) == 5


def test_a_budget_that_forbids_fusion_leads_to_the_fallback():
    selection, fusor, ctx = fuse(lambda _: "12", budget=Budget(samples=0))
    assert selection.winner == POOL[0]
    assert fusor.requests == []
    assert "forbids" in ctx.notes[0]


def test_the_instructions_and_the_answer_are_in_the_prompts_language():
    selection, fusor, ctx = fuse(lambda _: "१२", prompt=replace(PROMPT, language="hi"))
    assert "उम्मीदवार" in fusor.requests[0].prompt.text
    assert "(हिन्दी, hi)" in fusor.requests[0].prompt.text
    assert selection.winner.language == "hi"
    assert ctx.notes == []


GERMAN = ["Die Summe von sieben und fünf ist zwölf.", "Das Ergebnis der Rechnung lautet zwölf."]
ENGLISH = "The sum of seven and five is twelve, as everybody knows."


@pytest.mark.parametrize(
    ("texts", "fused", "winner"),
    [
        (GERMAN, ENGLISH, GERMAN[0]),
        (GERMAN, "Sieben und fünf ergeben zusammen die Zahl zwölf.", None),
        ([ENGLISH, ENGLISH + " Yes, really and truly."], ENGLISH + " Indeed it is.", None),
        (GERMAN, "12", None),
    ],
)
def test_a_fused_answer_in_another_language_than_its_parents_is_not_taken(texts, fused, winner):
    selection, _, ctx = fuse(lambda _: fused, prompt=replace(PROMPT, language="de"), pool=pool_of(*texts))
    assert selection.winner.text == (winner or fused)
    assert ("not in de" in "".join(ctx.notes)) == (winner is not None)


@pytest.mark.parametrize("role", ["system", "developer"])
def test_system_turns_hold_for_the_fused_answer(role):
    system = Message(role=role, content="Be brief.")
    _, fusor, _ = fuse(lambda _: "12", prompt=replace(PROMPT, messages=(system, *PROMPT.messages)))
    assert [m.role for m in fusor.requests[0].prompt.messages] == [role, "user"]


def test_as_many_candidates_as_fit_are_shown():
    pool = pool_of(*(c * 2000 for c in "abcdef"))
    selector = Fuse(context_tokens=6200, max_tokens=100, fallback=First())
    selection, fusor, ctx = fuse(lambda _: "12", selector, pool=pool)
    assert 2 <= len(shown(fusor.requests[0])) < 6
    assert len(selection.winner.parents) == len(shown(fusor.requests[0]))
    assert "candidates fit into 6200 tokens" in ctx.notes[0]


def test_where_only_one_fits_the_fallback_chooses():
    pool = pool_of("a" * 9000, "b" * 9000)
    selection, fusor, _ = fuse(lambda _: "12", Fuse(context_tokens=4000, fallback=First()), pool=pool)
    assert selection.winner.id == 0
    assert fusor.requests == []


def test_a_recorded_pool_is_fused_into_its_next_candidate():
    pool = Pool(PROMPT, {}, tuple(POOL))
    outcome = asyncio.run(select(pool, Fuse(), engines={"policy": Scripted(lambda _: "12!")}))
    assert outcome.text == "12!"
    assert [c.id for c in outcome.candidates] == [0, 1, 2, 3, 4]
    assert outcome.usage["fusor"].calls == 1
