import re
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.context import Context
from nbest.judging.templates import (
    PLACEHOLDERS,
    Template,
    fill,
    language_words,
    template_for,
)
from nbest.types import replace
from scripted import PROMPT

DATA = resources.files("nbest.judging") / "templates_by_language"
NAMES = ["chops", "fuse", "pairwise", "rsa", "score", "yes_no"]
SOME = [
    (n, d.name) for n in ("critique", "grade", "steps") for d in DATA.iterdir() if (d / f"{n}.txt").is_file()
]
"""Templates that not every language has yet."""
TRANSLATED = sorted(d.name for d in DATA.iterdir() if d.is_dir())
GRADES = ["[[A>>B]]", "[[A>B]]", "[[A=B]]", "[[B>A]]", "[[B>>A]]"]


def template(name, language):
    ctx = Context({})
    made = template_for(name, replace(PROMPT, language=language), ctx, language="prompt", path=None)
    assert ctx.notes == []
    return made


def test_the_promised_languages_have_templates():
    assert {"ar", "de", "en", "es", "fr", "hi", "ja", "ko", "ru", "zh", "th"} <= set(TRANSLATED)


@pytest.mark.parametrize(("name", "language"), [*((n, t) for n in NAMES for t in TRANSLATED), *sorted(SOME)])
class TestEveryTemplate:
    def test_it_says_what_the_english_one_says(self, name, language):
        made, english = template(name, language), template(name, "en")
        for ours, theirs in zip(made[:2], english[:2], strict=True):
            assert sorted(set(re.findall(r"{{.*?}}", ours))) == sorted(set(re.findall(r"{{.*?}}", theirs)))
            assert len(ours.split("\n\n")) == len(theirs.split("\n\n"))
            assert sorted(re.findall(r"\[\[[AB<>=]+\]\]", ours)) == sorted(
                re.findall(r"\[\[[AB<>=]+\]\]", theirs)
            )
            assert ours.count("[[") == theirs.count("[[")
        assert bool(made.repair) == (name in {"chops", "critique", "grade", "pairwise", "score", "steps"})

    def test_it_has_words_for_its_placeholders(self, name, language):
        made = template(name, language)
        filled = fill(made.ask + made.repair, dict.fromkeys(PLACEHOLDERS, "<x>"))
        assert "{{" not in filled
        assert "}}" not in filled

    def test_it_is_written_in_its_language(self, name, language):
        if language == "en":
            pytest.skip("the original")
        assert template(name, language).ask != template(name, "en").ask
        assert "the answer" not in template(name, language).ask


def test_every_language_with_templates_says_yes_and_no():
    for language in TRANSLATED:
        words = language_words()[language]
        assert words.yes[0] != words.no[0]


@given(text=st.text(), tag=st.text())
def test_what_is_put_in_is_never_looked_at_again(text, tag):
    filled = fill("{{candidates}}|{{ tag }}|", {"candidates": text + "{{tag}}", "tag": tag})
    assert filled == f"{text}{{{{tag}}}}|{tag}|"


def test_without_a_language_the_instructions_are_english():
    assert template("chops", None).language == "en"


def test_a_directory_may_hold_languages(tmp_path):
    (tmp_path / "sw").mkdir()
    (tmp_path / "sw" / "fuse.txt").write_text("Jibu.\n{{prompt}}\n{{candidates}}", encoding="utf-8")
    swahili = replace(PROMPT, language="sw")
    made = template_for("fuse", swahili, Context({}), language="prompt", path=str(tmp_path))
    assert made == Template("Jibu.\n{{prompt}}\n{{candidates}}", "", "sw")
    # What the directory does not hold is ours.
    assert template_for("rsa", swahili, Context({}), language="en", path=str(tmp_path)).language == "en"


@pytest.mark.parametrize(
    ("language", "file"),
    [
        ("pt-BR", "pt-BR"),
        ("pt_BR", "pt-BR"),
        ("pt", "pt"),
        ("pt-PT", "pt"),
        ("zh_TW", "zh-Hant"),
        ("fr", None),
    ],
)
def test_a_region_has_its_own_template_or_the_languages(tmp_path, language, file):
    for name in ("pt-BR", "pt", "zh-Hant"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "score.txt").write_text(
            f"{name} {{{{prompt}}}} {{{{candidates}}}}", encoding="utf-8"
        )
    prompt = replace(PROMPT, language=language)
    made = template_for("score", prompt, Context({}), language="prompt", path=str(tmp_path))
    assert made.ask.split(" ")[0] == (file or made.ask.split(" ")[0])
    assert (made == template("score", language)) is (file is None)
