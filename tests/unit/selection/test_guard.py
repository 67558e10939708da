"""What is set aside before a selector sees the pool."""

import tomllib
from importlib.resources import files

import pytest

from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import SpecError
from nbest.selection.first import First
from nbest.selection.guard import Guard, is_refusal
from nbest.types import Candidate, Message, Prompt
from scripted import prompt_of

PROMPT = prompt_of("?", "de")
GERMAN = "Heute Morgen bin ich zum Markt gegangen und habe Gemüse gekauft."
ENGLISH = "This morning I went to the market and bought fresh vegetables."


async def guard(*candidates: Candidate, **parameters):
    ctx = Context({"policy": Fake()})
    selection = await Guard(selector=First(), **parameters)(PROMPT, candidates, ctx)
    return selection.winner.id, ctx.notes


async def test_what_cannot_be_right_is_set_aside_and_noted():
    winner, notes = await guard(
        Candidate(id=0, text=" \n…"),
        Candidate(id=1, text=GERMAN, finish="length"),
        Candidate(id=2, text="Es tut mir leid, aber ich kann dabei nicht helfen."),
        Candidate(id=3, text=ENGLISH),
        Candidate(id=4, text=GERMAN),
    )
    assert winner == 4
    assert notes == [
        "guard: 4 of 5 candidates set aside (0 empty, 1 truncated, 2 refused, 3 not in de)",
    ]


async def test_where_nothing_would_be_left_all_compete():
    winner, notes = await guard(Candidate(id=0, text=ENGLISH), Candidate(id=1, text=""))
    assert winner == 0
    assert notes[0].endswith("nothing was left, so all of them compete")


async def test_a_clean_pool_leaves_no_note():
    assert await guard(Candidate(id=0, text=GERMAN)) == (0, [])


async def test_a_language_that_cannot_be_told_sets_nothing_aside():
    assert await guard(Candidate(id=0, text="42"), Candidate(id=1, text=GERMAN)) == (0, [])


async def test_evidence_is_judged_by_the_language_it_was_asked_for_in():
    evidence = Candidate(id=0, text=ENGLISH, language="en")
    assert await guard(evidence, Candidate(id=1, text=GERMAN)) == (0, [])
    winner, _ = await guard(evidence, Candidate(id=1, text=GERMAN), language="de")
    assert winner == 1


async def test_each_check_can_be_turned_off():
    english = Candidate(id=0, text=ENGLISH, finish="length")
    assert (await guard(english, Candidate(id=1, text=GERMAN), language=None, truncated=False))[0] == 0
    sorry = Candidate(id=0, text="Tut mir leid, ich kann nicht.")
    assert (await guard(sorry, Candidate(id=1, text=GERMAN), refused=False))[0] == 0


TABLE = tomllib.loads(files("nbest.selection").joinpath("refusals.toml").read_text(encoding="utf-8"))[
    "refusals"
]


@pytest.mark.parametrize("language", sorted(TABLE))
def test_refusals_are_recognised_in_every_language(language):
    texts = [phrase.replace("…", "abc") for phrase in TABLE[language]]
    assert all(is_refusal(f"  **{text.upper()}** …") for text in texts)


@pytest.mark.parametrize(
    "text",
    [
        "Sorry, I made a mistake: the answer is 42.",
        "Desculpe a demora: a resposta é 42.",
        "抱歉，刚才算错了。答案是42。",
        "Es tut mir leid, ich kann es nicht sicher sagen, aber es sind 42.",
        "Es tut mir leid, aber ich kann nur bestätigen: 42.",
        "I'm sorry, I can't be certain, but the answer is 42.",
        "Lo siento, no puedo estar seguro, pero son 42 manzanas.",
        "Извините, я не могу проверить, но получается 42.",
        "抱歉，我无法确定，但答案是42。",
        "申し訳ありませんが、その計算は42です。",
        "ขออภัย ฉันไม่สามารถยืนยันได้ แต่คำตอบคือ ๔๒",
        "죄송하지만 답변을 드릴 수 없는 줄 알았지만 42입니다.",
        "عذرًا، لا أستطيع التأكد، لكن الجواب ٤٢",
        "मुझे खेद है, लेकिन मैं कहूँगा कि उत्तर ४२ है।",
        GERMAN,
        "",
        "I'm sorry, but I can't find a simpler form. " + "However, here is the whole derivation. " * 20,
    ],
)
def test_an_apology_is_no_refusal(text):
    assert not is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that. If you are in danger, call 112.",
        "Es tut mir leid, aber ich kann dabei leider nicht helfen.",
        "Het spijt me, maar ik kan je daar echt niet mee helpen.",
        "క్షమించండి, నేను ఈ విషయంలో సహాయం చేయలేను.",
        "मुझे खेद है, लेकिन मैं इसमें मदद नहीं कर सकता।",
        "申し訳ありませんが、そのご質問にはお答えできません。",
    ],
)
def test_what_declines_is_a_refusal(text):
    assert is_refusal(text)


@pytest.mark.parametrize("language", ["de-AT", "de_CH"])
async def test_a_region_is_judged_as_its_language(language):
    prompt = Prompt(id="p", messages=(Message(role="user", content="?"),), language=language)
    pool = [Candidate(id=0, text=ENGLISH), Candidate(id=1, text=GERMAN)]
    assert (await Guard(selector=First())(prompt, pool, Context({}))).winner.id == 1


async def test_evidence_in_another_language_is_no_answer_that_is_left():
    prompt = prompt_of("كم؟", "ar")
    pool = [
        Candidate(id=0, text="الجواب هو خمسة تفاحات حمراء", finish="length", language="ar"),
        Candidate(id=1, text="The answer is five red apples", language="en"),
    ]
    ctx = Context({}, prompt_id="p")
    chosen = await Guard(selector=First())(prompt, pool, ctx)
    assert chosen.winner.id == 0
    assert "all of them compete" in ctx.notes[0]


def test_a_language_that_is_none_is_refused():
    with pytest.raises(SpecError, match=r"guard: 'German' is no language code .*did you mean 'de'"):
        registry.parse("selectors", "guard(vote, language=German)")
