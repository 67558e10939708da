import asyncio
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from nbest import registry
from nbest.context import Context
from nbest.errors import SelectionError, SpecError
from nbest.selection.mbr import Mbr
from nbest.selection.xmbr import Xmbr
from nbest.types import Candidate, Prompt
from nbest.utilities.chrf import Chrf
from scripted import prompt_of

PROMPT = prompt_of("Hauptstadt?", "de")
MEANING = {"Paris": 0, "巴黎": 0, "باريس": 0, "Rom": 1, "Rome": 1, "London": 2, "लंदन": 2}


@dataclass(frozen=True, kw_only=True)
class SameMeaning:
    is_multilingual: ClassVar[bool] = True

    async def __call__(self, hypotheses, references, ctx):
        return np.array([[float(MEANING[h] == MEANING[r]) for r in references] for h in hypotheses])


def pool(*texts_and_languages):
    return [Candidate(id=i, text=t, language=lang) for i, (t, lang) in enumerate(texts_and_languages)]


def choose(candidates, prompt=PROMPT, **how):
    ctx = Context({})
    how = {"utility": SameMeaning()} | how
    return asyncio.run(Xmbr(**how)(prompt, candidates, ctx)), ctx


TIED_AT_HOME = pool(("Rom", "de"), ("Paris", "de"), ("巴黎", "zh"), ("باريس", "ar"), ("Rome", "en"))


def test_evidence_in_other_languages_decides_what_is_tied_at_home():
    selection, ctx = choose(TIED_AT_HOME)
    assert selection.winner.text == "Paris"
    assert selection.scores == {0: 2 / 5, 1: 3 / 5}
    assert selection.weights == {0: 0, 1: 1 / 3, 2: 1 / 3, 3: 1 / 3, 4: 0}
    assert not ctx.notes


def test_evidence_cannot_win_however_much_of_it_agrees():
    candidates = pool(("Rom", "de"), ("London", "de"), ("巴黎", "zh"), ("باريس", "ar"), ("लंदन", "hi"))
    assert choose(candidates)[0].winner.text == "London"


def test_weights_of_evidence_for_all_and_by_language():
    assert choose(TIED_AT_HOME, evidence=0)[0].winner.text == "Rom"
    selection, _ = choose(TIED_AT_HOME, evidence={"zh": 0.0, "ar": 0.25, "en": 0.5})
    assert selection.winner.text == "Rom"
    assert selection.scores == {0: 1.5 / 2.75, 1: 1.25 / 2.75}
    assert choose(TIED_AT_HOME, evidence={"en": 0.5})[0].winner.text == "Paris"


def test_each_candidate_gives_the_winner_its_utility_times_its_weight():
    selection, _ = choose(TIED_AT_HOME, evidence={"zh": 0.5, "ar": 0.25, "en": 0.0})
    assert selection.winner.text == "Paris"
    assert selection.scores == {0: 1 / 2.75, 1: 1.75 / 2.75}
    assert selection.weights == {0: 0, 1: 1 / 1.75, 2: 0.5 / 1.75, 3: 0.25 / 1.75, 4: 0}


def test_a_weight_for_a_language_holds_for_its_regions():
    regional = pool(("Rom", "de"), ("Paris", "de"), ("巴黎", "zh_TW"), ("باريس", "ar-EG"), ("Rome", "en"))
    weights = {"zh": 0.0, "ar": 0.25, "en": 0.5}
    assert choose(regional, evidence=weights)[0].scores == choose(TIED_AT_HOME, evidence=weights)[0].scores
    own = choose(regional, evidence={**weights, "zh-Hant": 1.0})[0]
    assert own.winner.text == "Paris"


def test_a_weight_for_what_is_no_language_is_refused():
    with pytest.raises(SpecError, match="did you mean 'de'"):
        registry.parse(
            "selectors", "xmbr(utility=embedding(url='http://x', model='m'), evidence={'German': 0.5})"
        )


def test_without_evidence_it_is_mbr():
    candidates = pool(("ein Apfel", "de"), ("ein Apfel rot", "de"), ("eine Birne", None), ("ein Apfel", "de"))
    ours, _ = choose(candidates, utility=Chrf())
    plain = asyncio.run(Mbr()(PROMPT, candidates, Context({})))
    assert ours == plain


def test_a_candidate_of_no_recorded_language_may_win():
    assert choose(pool(("Rom", None), ("Paris", None), ("巴黎", "zh")))[0].winner.text == "Paris"


def test_where_the_prompts_language_is_not_known_the_asked_for_ones_are_evidence():
    prompt = Prompt(id="p", messages=PROMPT.messages)
    assert choose(pool(("Rom", None), ("Paris", None), ("巴黎", "zh")), prompt)[0].winner.text == "Paris"


def test_a_text_that_is_both_candidate_and_evidence_counts_as_both():
    selection, _ = choose(pool(("Rom", "de"), ("Paris", "de"), ("Paris", "fr")), evidence=0.5)
    assert selection.winner.id == 1
    assert selection.scores == {0: 1 / 2.5, 1: 1.5 / 2.5}


def test_evidence_alone_is_no_answer():
    failed = Candidate(id=1, text="", error="HTTP 500", language="de")
    with pytest.raises(
        SelectionError, match=r"no candidate in the prompt's language \(de\) is usable: the 1"
    ):
        choose([*pool(("巴黎", "zh")), failed])


def test_a_lexical_utility_is_allowed_and_noted():
    selection, ctx = choose(TIED_AT_HOME, utility=Chrf())
    assert selection.winner.language == "de"
    assert len(ctx.notes) == 1
    assert "chrf does not compare texts across languages" in ctx.notes[0]
    assert not choose(TIED_AT_HOME, utility=Chrf(), evidence=0)[1].notes


def test_a_utility_may_read_the_prompt():
    class Source(SameMeaning):
        def for_prompt(self, prompt):
            seen.append(prompt)
            return SameMeaning()

    seen = []
    choose(TIED_AT_HOME, utility=Source())
    asyncio.run(Mbr(utility=Source())(PROMPT, TIED_AT_HOME, Context({})))
    assert seen == [PROMPT, PROMPT]


def test_specs():
    assert registry.parse("selectors", "xmbr(utility=chrf, evidence={'en': 0.5})").evidence == {"en": 0.5}
    assert registry.parse("selectors", "xmbr(chrf, evidence=2)").evidence == 2
    with pytest.raises(SpecError, match="xmbr needs utility"):
        registry.parse("selectors", "xmbr")
    with pytest.raises(SpecError, match="at least 0"):
        registry.parse("selectors", "xmbr(chrf, evidence=-1)")


def test_regions_and_scripts_are_one_language():
    candidates = pool(("Rom", "de-AT"), ("Paris", "de"), ("巴黎", "zh_Hant"))
    selection, _ = choose(candidates, PROMPT)
    assert selection.winner.text == "Paris"
    assert selection.scores.keys() == {0, 1}
