from dataclasses import dataclass, field

import pytest

from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import CapabilityError, InputError, SpecError
from nbest.run import ask
from nbest.sampling.hedged import Hedged
from nbest.selection.xmbr import Xmbr
from nbest.strategies.cross_lingual import CrossLingual
from nbest.types import Budget, Completion, Message, Usage, replace
from nbest.utilities.chrf import Chrf
from scripted import prompt_of

ZH = prompt_of("法国的首都？", "zh")

TRANSLATION = Completion(text=" The capital of France? ", usage=Usage(completion=5, calls=1))


@dataclass(frozen=True, kw_only=True)
class Translator(Fake):
    """Translates by rote and writes down what it was asked."""

    translation: Completion = TRANSLATION
    asked: list = field(default_factory=list)

    async def generate(self, request):
        self.asked.append(request)
        if request.role == "verifier":
            return [self.translation]
        return await super().generate(request)


def strategy(**how):
    return CrossLingual(**{"selector": Xmbr(utility=Chrf()), "sampler": Hedged(n=3)} | how)


async def solved(engine, prompt=ZH, budget=None, **how):
    return await ask(prompt, strategy(**how), {"policy": engine}, budget=budget)


async def test_evidence_is_drawn_for_the_translation():
    engine = Translator()
    outcome = await solved(engine, evidence=2)
    assert [c.language for c in outcome.candidates] == ["zh"] * 3 + ["en"] * 2
    assert {r.prompt.text for r in engine.asked if r.language == "en"} == {"The capital of France?"}
    translation = next(r for r in engine.asked if r.role == "verifier")
    assert translation.prompt.text.startswith("Translate the following text into English.")
    assert translation.prompt.text.endswith("法国的首都？")
    assert translation.params.temperature == 0
    assert outcome.selection.winner.language == "zh"
    assert outcome.usage["verifier"] == Usage(completion=5, calls=1)


async def test_a_conversation_keeps_its_other_turns_and_says_the_language():
    engine = Translator()
    prompt = replace(ZH, messages=(Message(role="system", content="简短"), *ZH.messages))
    await solved(engine, prompt)
    asked = next(r.prompt for r in engine.asked if r.language == "en")
    assert [m.content for m in asked.messages] == ["简短", "The capital of France?\n\nAnswer in English."]


@pytest.mark.parametrize(
    "translation",
    [
        Completion(text="The capital", finish="length"),
        Completion(text="  "),
        Completion(text="", finish="error", error="HTTP 500"),
    ],
)
async def test_without_a_translation_the_question_is_asked_as_it_is(translation):
    engine = Translator(translation=translation)
    outcome = await solved(engine)
    assert {r.prompt.text for r in engine.asked if r.language == "en"} == {
        "法国的首都？\n\nAnswer in English."
    }
    assert "no translation into en" in outcome.notes[0]


async def test_several_pivots_share_the_evidence():
    outcome = await solved(Translator(), languages=("en", "de", "zh"), evidence=3)
    assert [c.language for c in outcome.candidates] == ["zh"] * 3 + ["en", "de", "en"]


async def test_a_prompt_in_the_pivot_gets_a_larger_pool():
    engine = Translator()
    outcome = await solved(engine, replace(ZH, language="en"))
    assert [c.language for c in outcome.candidates] == ["en"] * 6
    assert {r.role for r in engine.asked} == {"policy"}


async def test_a_small_budget_buys_the_pool_first():
    outcome = await solved(Translator(), budget=Budget(samples=4))
    assert [c.language for c in outcome.candidates] == ["zh"] * 3
    assert outcome.stopped == "budget"


async def test_no_evidence_is_the_pool_alone():
    engine = Translator()
    outcome = await solved(engine, evidence=0)
    assert len(outcome.candidates) == 3
    assert {r.role for r in engine.asked} == {"policy"}


async def test_another_engine_may_translate():
    policy, translator = Translator(), Translator()
    ctx = Context({"policy": policy, "t": translator}, prompt_id="p")
    await strategy(translator="t")(ZH, ctx)
    assert [r.role for r in translator.asked] == ["verifier"]
    with pytest.raises(CapabilityError, match="no engine is called 'u'"):
        await strategy(translator="u")(ZH, ctx)


def test_specs(tmp_path):
    with pytest.raises(SpecError, match="cross_lingual needs selector"):
        registry.parse("strategies", "cross_lingual")
    with pytest.raises(SpecError, match="at least 0"):
        registry.parse("strategies", "cross_lingual(xmbr(chrf), evidence=-1)")
    with pytest.raises(InputError, match="no template for language 'yo'"):
        registry.parse("strategies", "cross_lingual(xmbr(chrf), languages=[yo])")
    (tmp_path / "en.txt").write_text("Into English: {prompt}", encoding="utf-8")
    assert strategy(templates=str(tmp_path))


@pytest.mark.parametrize("sizes", ["", "evidence=7, ", "evidence=1, ", "evidence=2, languages=[en, ar], "])
def test_a_sampler_that_cannot_have_the_pools_is_refused_before_the_first_prompt(sizes):
    with pytest.raises(SpecError, match="n must be 1"):
        registry.parse("strategies", f"cross_lingual(selector=vote, {sizes}sampler=greedy)")
