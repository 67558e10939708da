"""`tests/golden/final_lines.tsv`: final lines by kind, each with an answer that it gives, or does not give."""

from collections import defaultdict
from pathlib import Path

import pytest

from nbest.text import equivalent, extract

PATH = Path(__file__).parents[2] / "golden" / "final_lines.tsv"
LANGUAGES_OF_A_KIND = 6
SAME_IN_EVERY_LANGUAGE = {"boxed", "format", "think"}
"""Kinds of marks that know no language; `test_reasoning.py` has the rest."""


def unescaped(text):
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t").replace("\0", "\\")


def rows():
    for line in PATH.read_text(encoding="utf-8").splitlines()[1:]:
        kind, language, equal, gold, text = line.split("\t")
        yield kind, language, equal == "yes", unescaped(gold), unescaped(text)


@pytest.mark.parametrize(("kind", "language", "is_equal", "gold", "text"), list(rows()))
def test_the_line_gives_the_answer_or_does_not(kind, language, is_equal, gold, text):
    assert equivalent(extract(text, language=language), gold) is is_equal, kind


def test_each_kind_is_there_in_six_languages():
    languages = defaultdict(set)
    for kind, language, *_ in rows():
        languages[kind].add(language)
    few = {kind for kind, found in languages.items() if len(found) < LANGUAGES_OF_A_KIND}
    assert few <= SAME_IN_EVERY_LANGUAGE
