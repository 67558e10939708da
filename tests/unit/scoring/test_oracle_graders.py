"""How the oracle compares answers: by the row, by a name, by a function of the user's own."""

import pytest

from nbest import registry
from nbest.context import Context
from nbest.errors import CapabilityError, SpecError
from nbest.types import Candidate
from scripted import prompt_of

POOL = [
    Candidate(id=0, text="Es ist wohl Paris, denke ich."),
    Candidate(id=1, text="パリ"),
    Candidate(id=2, text="Lyon"),
]


async def scores(spec, **gold):
    ctx = Context({}, gold=gold)
    return [s.value for s in await registry.parse("scorers", spec)(prompt_of("?"), POOL, ctx)]


async def test_the_row_chooses_the_grader():
    assert await scores("oracle", answer=["Paris", "パリ"]) == [0, 1, 0]
    assert await scores("oracle", answer=["Paris", "パリ"], grader="contains") == [1, 1, 0]


async def test_the_spec_outranks_the_row():
    assert await scores("oracle(grader=regex)", answer=r"[Pパ][aリ]", grader="exact") == [1, 1, 0]
    assert registry.spec_of(registry.parse("scorers", "oracle(grader=regex)")) == "oracle(grader='regex')"


async def test_a_function_in_a_file_grades(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def ends_alike(text, answer):\n    return text[-1] == answer[-1]\n")
    assert await scores(f"oracle(grader='{file}:ends_alike')", answer="Avignon") == [0, 0, 1]


async def test_a_grader_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(SpecError, match="grader must be one of"):
        registry.parse("scorers", "oracle(grader=fuzzy)")
    with pytest.raises(CapabilityError, match="grader must be one of"):
        await scores("oracle", answer="Paris", grader="fuzzy")
    file = tmp_path / "own.py"
    file.write_text("def check(text, answer):\n    return True\n")
    with pytest.raises(SpecError, match="no function 'chek'"):
        registry.parse("scorers", f"oracle(grader='{file}:chek')")
