"""Tables, variants and instructions for a language hold for its regions, unless those have their own."""

from random import Random

import pytest

from nbest.errors import InputError
from nbest.sampling.hedged import Hedged
from nbest.sampling.iid import Iid
from nbest.sampling.prompts import Prompts
from nbest.sampling.translated import Translated
from nbest.types import Message, Prompt

TABLE = """
[[params]]
temperature = 0.1
[[params]]
language = "pt"
temperature = 0.2
[[params]]
language = "pt_BR"
temperature = 0.3
[[params]]
language = "zh-Hant"
temperature = 0.4
[[params]]
language = "zh"
temperature = 0.5
[[params]]
language = "ar"
task = "mgsm"
temperature = 0.6
"""


def prompt(language, task=None):
    return Prompt(id="p", messages=(Message(role="user", content="?"),), language=language, task=task)


@pytest.mark.parametrize(
    ("language", "task", "temperature"),
    [
        ("pt", None, 0.2),
        ("pt-PT", None, 0.2),
        ("pt-BR", None, 0.3),
        ("PT-br", None, 0.3),
        ("zh_TW", None, 0.4),
        ("zh-Hant-HK", None, 0.4),
        ("zh_CN", None, 0.5),
        ("ar-EG", "mgsm", 0.6),
        ("ar-EG", None, 0.1),
        ("hi", None, 0.1),
        (None, None, 0.1),
    ],
)
def test_a_table(tmp_path, language, task, temperature):
    table = tmp_path / "table.toml"
    table.write_text(TABLE, encoding="utf-8")
    [request] = Iid(table=str(table))(prompt(language, task), Random(1))
    assert request.params.temperature == temperature


def test_a_table_with_a_language_that_is_no_text(tmp_path):
    table = tmp_path / "table.toml"
    table.write_text("[[params]]\nlanguage = 7\ntemperature = 0.2\n", encoding="utf-8")
    with pytest.raises(InputError, match="language must be text, got 7"):
        Iid(table=str(table))(prompt("pt"), Random(1))


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("pt", ["Olá", "Hi"]),
        ("pt-PT", ["Olá", "Hi"]),
        ("pt_BR", ["Oi", "Hi"]),
        ("zh_TW", ["你好", "Hi"]),
        ("ko", ["Hi", "Hi"]),
    ],
)
def test_prompt_variants(tmp_path, language, texts):
    rows = [("pt", "Olá"), ("pt-BR", "Oi"), ("zh", "你好")]
    file = tmp_path / "variants.toml"
    file.write_text(
        "".join(f'[[variants]]\nlanguage = "{tag}"\ntext = "{text} {{prompt}}"\n' for tag, text in rows)
        + '[[variants]]\ntext = "Hi {prompt}"\n',
        encoding="utf-8",
    )
    plan = Prompts(sampler=Iid(n=2), file=str(file))(prompt(language), Random(1))
    drawn = [r.prompt.text.split()[0] for r in plan for _ in range(r.n)]
    assert drawn == texts


@pytest.mark.parametrize("language", ["pt_BR", "pt-BR", "zh_CN", "zh-Hant-TW", "ar-EG"])
def test_instructions_to_answer_in_a_language(language):
    asked = Translated(sampler=Hedged(n=1), languages=(language,))(prompt("en"), Random(1))[-1]
    plain = Translated(sampler=Hedged(n=1), languages=(language[:2],))(prompt("en"), Random(1))[-1]
    assert asked.prompt.messages == plain.prompt.messages
    assert asked.language == language


@pytest.mark.parametrize(("own", "pivot"), [("pt-BR", "pt"), ("zh_CN", "zh-Hant")])
def test_a_region_of_the_prompts_language_is_no_evidence(own, pivot):
    plan = Translated(sampler=Hedged(n=2), languages=(pivot,))(prompt(own), Random(1))
    assert all(r.language is None for r in plan)
