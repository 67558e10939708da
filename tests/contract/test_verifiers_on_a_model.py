"""Verifiers and revisions on the embedded model, in four scripts: the protocol is tested, not the quality."""

import asyncio
from importlib import resources

import pytest

from nbest.context import Context
from nbest.datasets import read_prompts
from nbest.engines.llamacpp.llamacpp import LlamaCpp
from nbest.registry import parse
from nbest.run import ask
from nbest.strategies.phrases import table
from nbest.types import Candidate

LANGUAGES = ["ar", "ja", "th", "en"]
ITEMS = {
    i.prompt.id: i for i in read_prompts(str(resources.files("nbest") / "data" / "prompts" / "mini.jsonl"))
}


def item(language):
    return ITEMS[f"p0003-{language}"]


@pytest.fixture(scope="module")
def engine():
    made = LlamaCpp(slots=4, context=1024)
    yield made
    asyncio.run(made.aclose())


@pytest.fixture(scope="module")
def revised(engine):
    """A chain of two answers in each language."""
    strategy = parse("strategies", "revise(sequential=2, parallel=1, max_tokens=160)")

    async def work():
        return await asyncio.gather(
            *(ask(item(language).prompt, strategy, {"policy": engine}) for language in LANGUAGES)
        )

    return dict(zip(LANGUAGES, asyncio.run(work()), strict=True))


def score(spec, language, pool, engine):
    found = item(language)
    ctx = Context({"policy": engine}, prompt_id=found.prompt.id, gold={"answer": found.gold["answer"]})
    return asyncio.run(parse("scorers", spec)(found.prompt, pool, ctx)), ctx


@pytest.mark.parametrize("language", LANGUAGES)
class TestInEveryScript:
    def test_a_revision_reads_the_attempt(self, language, revised):
        outcome = revised[language]
        first, second = outcome.candidates
        assert second.parents == (0,)
        assert all(c.is_usable and c.text for c in (first, second))
        # The second prompt holds the first answer and the turn.
        assert outcome.usage["policy"].prompt > first.usage.prompt + first.usage.completion
        assert outcome.notes == ()

    def test_beginnings_are_completed_and_agree_or_not(self, language, revised, engine):
        lines = revised[language].candidates[0].text.splitlines(keepends=True)
        pool = [Candidate(id=i, text="".join(lines[: i + 1]), finish="step") for i in range(2)]
        scores, ctx = score("rollouts(k=2, max_tokens=160)", language, pool, engine)
        assert all(s.value in {0.0, 0.5, 1.0} for s in scores)
        assert max(s.value for s in scores) > 0
        assert set(ctx.meter.usage) == {"verifier"}
        assert ctx.notes == []

    @pytest.mark.parametrize("form", ["rlhflow", "math_shepherd"])
    def test_every_step_has_a_value_from_real_log_probabilities(self, language, form, revised, engine):
        text = revised[language].candidates[0].text
        # The model is no PRM: its + and - are looked for in its whole vocabulary.
        spec = f"token_prm(form={form}, top_logprobs=3584)"
        [s], ctx = score(spec, language, [Candidate(id=0, text=text)], engine)
        assert len(s.steps) == len(text.splitlines())
        assert all(0 < v < 1 for v in s.steps)
        assert s.value == s.steps[-1]
        assert ctx.meter.usage["verifier"].completion == len(s.steps)


def test_the_first_to_finish_decide(engine):
    strategy = parse("strategies", "short_m_at_k(sampler=iid(n=4, max_tokens=160), m=2)")
    outcome = asyncio.run(ask(item("ja").prompt, strategy, {"policy": engine}))
    there = [c for c in outcome.candidates if c.is_usable]
    assert 2 <= len(there) <= 4
    assert all("cancelled" in c.error for c in outcome.candidates if c.error)
    assert outcome.selection.winner in there


def test_a_text_that_ended_goes_on(engine):
    strategy = parse("strategies", "budget_forcing(waits=1, max_tokens=160)")
    outcome = asyncio.run(ask(item("th").prompt, strategy, {"policy": engine}))
    first, second = outcome.candidates
    assert second.text.startswith(f"{first.text.rstrip()}\n{table()['th'].wait}")
