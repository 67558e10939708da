"""Replies as judges write them, and what is read from each. The first line of a file is the truth."""

import re
from pathlib import Path

import pytest

from nbest.judging.verdict_text import NoVerdictError, choice, grade

REPLIES = sorted((Path(__file__).parent / "judge_replies").glob("*.txt"))


@pytest.mark.parametrize("file", REPLIES, ids=lambda f: f.stem)
def test_what_is_read_from_a_reply(file):
    first, _, reply = file.read_text(encoding="utf-8").partition("\n")
    kind, count, expected = re.fullmatch(r"# (choice of|grade) ?(\d*): (.+)", first).groups()
    try:
        verdict = grade(reply) if kind == "grade" else choice(reply, int(count))
    except NoVerdictError:
        verdict = "no verdict"
    assert str(verdict) == expected


def test_there_are_replies():
    assert len(REPLIES) > 40
