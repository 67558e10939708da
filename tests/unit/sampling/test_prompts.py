from random import Random

import pytest

from nbest import registry
from nbest.errors import InputError, SpecError
from nbest.sampling.hedged import Hedged
from nbest.sampling.ladder import Ladder
from nbest.sampling.prompts import Prompts
from nbest.sampling.translated import Translated
from nbest.types import Message, Prompt

PROMPT = Prompt(
    id="p",
    messages=(
        Message(role="user", content="früher"),
        Message(role="assistant", content="ja"),
        Message(role="user", content="Was ist {prompt}?"),
    ),
    language="de",
    task="math",
)
PLAIN_AND_SLOW = ("{prompt}", "Denke in Ruhe nach.\n{prompt}")


def test_draws_are_dealt_to_the_variants_and_the_first_keeps_the_greedy_one():
    plan = Prompts(sampler=Hedged(n=4), variants=PLAIN_AND_SLOW)(PROMPT, Random(1))
    texts = [r.prompt.text for r in plan for _ in range(r.n)]
    assert texts == ["Was ist {prompt}?", "Denke in Ruhe nach.\nWas ist {prompt}?"] * 2
    assert plan[0].params.temperature == 0
    assert plan[0].prompt == PROMPT


def test_only_the_last_user_turn_is_wrapped():
    plan = Prompts(sampler=Hedged(n=1), variants=("<{prompt}>",))(PROMPT, Random(1))
    assert [m.content for m in plan[0].prompt.messages] == ["früher", "ja", "<Was ist {prompt}?>"]


def test_a_turn_in_parts_is_wrapped_in_what_engines_are_sent():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    texts = ({"type": "text", "text": "Was"}, {"type": "text", "text": "ist das?"})
    for parts, told in (
        (texts, ()),
        ((*texts, image), ({"type": "text", "text": "<Was\nist das?>"}, image)),
    ):
        turn = Message(role="user", content="Was\nist das?", parts=parts)
        sampler = Prompts(sampler=Hedged(n=2), variants=("{prompt}", "<{prompt}>"))
        plain, wrapped = sampler(Prompt(id="p", messages=(turn,)), Random(1))
        assert plain.prompt.messages == (turn,)
        assert wrapped.prompt.messages == (Message(role="user", content="<Was\nist das?>", parts=told),)


def test_variants_and_temperatures_go_together():
    plan = Prompts(sampler=Ladder(n=4, low=0.2, high=0.8), variants=PLAIN_AND_SLOW)(PROMPT, Random(1))
    assert [round(r.params.temperature, 1) for r in plan] == [0.2, 0.4, 0.6, 0.8]


def test_a_file_has_variants_by_language_and_task(tmp_path):
    file = tmp_path / "v.toml"
    file.write_text(
        '[[variants]]\ntext = "{prompt}"\n'
        '[[variants]]\nlanguage = "de"\ntext = "Schritt für Schritt: {prompt}"\n'
        '[[variants]]\nlanguage = "en"\ntext = "Step by step: {prompt}"\n'
        '[[variants]]\ntask = "translation"\ntext = "no"\n'.replace('"no"', '"{prompt} no"'),
        encoding="utf-8",
    )
    inner = Translated(sampler=Hedged(n=2), languages=("en",))
    plan = Prompts(sampler=inner, file=str(file))(PROMPT, Random(1))
    assert [r.prompt.text.partition(":")[0] for r in plan] == [
        "Was ist {prompt}?",
        "Schritt für Schritt",
        "Was ist {prompt}?\n\nAnswer in English.",
        "Step by step",
    ]
    assert [r.language for r in plan] == [None, None, "en", "en"]


def test_a_prompt_that_no_row_fits_is_asked_as_it_is(tmp_path):
    file = tmp_path / "v.toml"
    file.write_text('[[variants]]\nlanguage = "fr"\ntext = "{prompt} !"\n', encoding="utf-8")
    assert Prompts(sampler=Hedged(n=1), file=str(file))(PROMPT, Random(1))[0].prompt == PROMPT


def test_a_prompt_without_a_user_turn_is_asked_as_it_is():
    prompt = Prompt(id="p", messages=(Message(role="system", content="s"),))
    assert Prompts(sampler=Hedged(n=1), variants=("<{prompt}>",))(prompt, Random(1))[0].prompt == prompt


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("prompts", "either variants="),
        ("prompts(variants=['{prompt}'], file='x')", "either variants="),
        ("prompts(variants=['think'])", "'think' has no {prompt}"),
    ],
)
def test_what_cannot_be_meant_is_said(spec, said):
    with pytest.raises(SpecError, match=said):
        registry.parse("samplers", spec)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no variants"),
        ("[[variants]]\ntext = 'x'", "no {prompt}"),
        ("[[variants]]\ntxt = 'x'", "txt"),
        ("[[", "v.toml"),
    ],
)
def test_a_file_that_cannot_be_used_is_said(tmp_path, text, said):
    file = tmp_path / "v.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        Prompts(file=str(file))(PROMPT, Random(1))
    with pytest.raises(InputError, match="no such file"):
        Prompts(file=str(tmp_path / "other"))(PROMPT, Random(1))
