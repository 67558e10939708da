"""What is chosen by something else than was asked is said, wherever outcomes are counted."""

import pytest

from nbest import registry
from nbest.engines.fake import Fake
from nbest.records import RunWriter
from nbest.run import ask
from scripted import prompt_of

PROMPT = prompt_of("二加二等于几？")
CHOOSERS = {
    "best_of_n(n=3, scorer=judge)": "judge",
    "best_of_n(n=3, scorer=token_prm)": "verifier",
    "chops(n=3)": "judge",
    "fuse(n=3)": "fusor",
    "tournament(n=3)": "judge",
    "judge_pairwise(n=3)": "judge",
}


@pytest.mark.parametrize(("spec", "role"), CHOOSERS.items())
async def test_who_cannot_choose_is_no_silent_success(tmp_path, spec, role):
    engines = {"policy": Fake(), role: Fake(error_rate=1.0)}
    outcome = await ask(PROMPT, registry.parse("strategies", spec), engines)
    assert (outcome.stopped, outcome.error) == ("error", None)
    assert outcome.selection
    assert "chose instead" in " ".join(outcome.notes)
    with RunWriter(tmp_path, {}) as out:
        out.append(outcome)
    with RunWriter(tmp_path, {}) as out:
        assert "p" in out.recorded, "there is an answer: it is not asked again"
