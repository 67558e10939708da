"""`tests/golden/answers.tsv`: final lines in 27 languages and what they say."""

from pathlib import Path

import pytest

from nbest.text import extract

PATH = Path(__file__).parents[2] / "golden" / "answers.tsv"


def rows():
    lines = PATH.read_text(encoding="utf-8").split("\n")[1:]
    for language, kind, readings, text in (line.split("\t") for line in lines if line):
        spelled = text.replace("\\n", "\n").replace("\\\\", "\\")
        yield pytest.param(language or None, kind, readings.replace("\\\\", "\\"), spelled)


@pytest.mark.parametrize(("language", "kind", "readings", "text"), list(rows()))
def test_the_answer_is_read(language, kind, readings, text):
    answer = extract(text, language=language)
    if kind == "none":
        assert answer is None
    else:
        assert answer is not None
        assert (answer.kind, " | ".join(answer.readings)) == (kind, readings)


def test_the_list_is_broad():
    listed = list(rows())
    assert len(listed) >= 200
    assert len({row.values[0] for row in listed}) >= 28
