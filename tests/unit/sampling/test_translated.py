from random import Random

import pytest

from nbest import registry
from nbest.errors import InputError, SpecError
from nbest.sampling.greedy import Greedy
from nbest.sampling.hedged import Hedged
from nbest.sampling.ladder import Ladder
from nbest.sampling.translated import Translated
from nbest.sampling.turn_templates import languages
from nbest.types import Message, Prompt
from scripted import prompt_of

ZH = Prompt(
    id="p",
    messages=(Message(role="system", content="简短。"), Message(role="user", content="{x} 是什么？")),
    language="zh",
)
AYA = "ar zh cs nl en fr de el he hi id it ja ko fa pl pt ro ru es tr uk vi"


def test_the_pool_comes_first_then_evidence_that_says_its_language():
    plan = Translated(sampler=Hedged(n=5), languages=("en",), n=8)(ZH, Random(1))
    assert [(r.n, r.language, r.params.temperature) for r in plan] == [
        (1, None, 0.0),
        (4, None, 0.7),
        (1, "en", 0.0),
        (2, "en", 0.7),
    ]
    assert plan[0].prompt == ZH
    asked = plan[2].prompt
    assert asked.language == "en"
    assert asked.messages[0] == ZH.messages[0]
    assert asked.text == "{x} 是什么？\n\nAnswer in English."


def test_evidence_is_dealt_to_the_pivots_in_turn_and_nested():
    plan = Translated(sampler=Hedged(n=2), languages=("en", "de"), n=7)(ZH, Random(1))
    drawn = [(r.language, r.params.seed) for r in plan for _ in range(r.n)][2:]
    assert [language for language, _ in drawn] == ["en", "de", "en", "de", "en"]
    smaller = Translated(sampler=Hedged(n=2), languages=("en", "de"), n=5)(ZH, Random(1))
    assert [(r.language, r.params.seed) for r in smaller for _ in range(r.n)][2:] == drawn[:3]


def test_a_prompt_in_the_pivot_language_costs_as_much():
    english = prompt_of("What?", "en")
    plan = Translated(sampler=Hedged(n=3), languages=("en",))(english, Random(1))
    assert sum(r.n for r in plan) == 6
    assert all(r.language is None and r.prompt == english for r in plan)


def test_a_table_gives_the_pivot_its_own_temperature(tmp_path):
    table = tmp_path / "t.toml"
    table.write_text('[[params]]\nlanguage = "en"\ntemperature = 1.0\n', encoding="utf-8")
    plan = Translated(sampler=Hedged(n=2, table=str(table)), languages=("en",))(ZH, Random(1))
    assert [r.params.temperature for r in plan] == [0.0, 0.7, 0.0, 1.0]


def test_the_plan_keeps_any_samplers_shape():
    plan = Translated(sampler=Ladder(n=2, low=0.2, high=0.8), languages=("en",), n=4)(ZH, Random(1))
    assert [r.params.temperature for r in plan] == [0.2, 0.8, 0.2, 0.8]


def test_instructions_ship_for_the_aya_languages_and_more():
    for purpose in ("answer_in", "translate_into"):
        assert set(languages(purpose)) == {*AYA.split(), "sw", "th", "te", "bn"}
    for language in languages("answer_in"):
        Translated(languages=(language,))


def test_an_unknown_language_is_said_and_ones_own_template_helps(tmp_path):
    with pytest.raises(InputError, match=r"no template for language 'yo'.*Known|known: ar, bn"):
        Translated(languages=("yo",))
    (tmp_path / "yo.txt").write_text("Dáhùn ní èdè Yorùbá: {prompt}\n", encoding="utf-8")
    sampler = Translated(languages=("yo",), templates=str(tmp_path))
    assert sampler(ZH, Random(1))[-1].prompt.text == "Dáhùn ní èdè Yorùbá: {x} 是什么？"


def test_a_template_that_would_lose_the_question_is_refused(tmp_path):
    (tmp_path / "en.txt").write_text("Answer in English.", encoding="utf-8")
    with pytest.raises(InputError, match=r"en\.txt has no \{prompt\}"):
        Translated(templates=str(tmp_path))


def test_a_region_falls_back_on_its_language():
    plan = Translated(sampler=Hedged(n=1), languages=("pt-BR",))(ZH, Random(1))
    assert plan[1].language == "pt-BR"
    assert plan[1].prompt.text.endswith("Responda em português.")


def test_it_is_said_at_once_where_the_sampler_cannot_grow():
    with pytest.raises(SpecError, match="n must be 1"):
        registry.parse("samplers", "translated(sampler=greedy)")
    assert Translated(sampler=Greedy(), n=1)(ZH, Random(1))
