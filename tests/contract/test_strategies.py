"""What every strategy promises, on the fake engine."""

import asyncio
from math import isclose

import pytest

from nbest import registry
from nbest.accounting.meter import total
from nbest.engines.fake import Fake
from nbest.run import ask
from nbest.types import Budget, Message, Prompt, replace
from specs import all_of

PROMPTS = [
    Prompt(id=f"p{i}", messages=(Message(role="user", content=text),))
    for i, text in enumerate(["2 + 3 = ?", "كم عدد التفاح؟", "一共有几个？", "कितने हैं?", "Сколько?", "กี่ลูก"])
]


def outcome(spec, prompt, engine=None, **how):
    strategy = registry.parse("strategies", spec)
    return asyncio.run(ask(prompt, strategy, {"policy": engine or Fake()}, **how))


@pytest.mark.parametrize("spec", all_of("strategies"))
class TestEveryStrategy:
    def test_the_same_seed_gives_the_same_outcome(self, spec):
        for prompt in PROMPTS:
            assert same(outcome(spec, prompt, seed=4), outcome(spec, prompt, seed=4))

    def test_another_seed_gives_another_pool(self, spec):
        assert any(
            outcome(spec, p, seed=4).candidates != outcome(spec, p, seed=5).candidates for p in PROMPTS
        )

    @pytest.mark.parametrize("samples", [0, 1, 3, 5])
    def test_it_never_draws_more_than_the_budget(self, spec, samples):
        spent = outcome(spec, PROMPTS[0], budget=Budget(samples=samples))
        assert len(spent.candidates) <= samples
        assert (spent.selection is None) == (samples == 0)
        assert spent.stopped in {"done", "budget"}

    @pytest.mark.parametrize("tokens", [0, 1, 30, 100, 5000])
    def test_it_never_draws_more_tokens_than_the_budget(self, spec, tokens):
        spent = outcome(spec, PROMPTS[0], budget=Budget(tokens=tokens))
        assert total(spent.usage).completion <= tokens

    def test_usage_is_the_sum_of_the_candidates(self, spec):
        o = outcome(spec, PROMPTS[1])
        drawn = sum(c.usage.completion for c in o.candidates)
        assert o.usage["policy"].completion == drawn > 0
        assert o.usage["policy"].calls > 0

    def test_a_failed_draw_is_recorded_and_costs_that_draw_only(self, spec):
        outcomes = [outcome(spec, p, Fake(error_rate=0.3, max_n=1)) for p in PROMPTS]
        failed = [c for o in outcomes for c in o.candidates if c.error]
        assert failed
        assert all("told to fail" in c.error for c in failed if c.error)
        assert all(o.selection is not None for o in outcomes)

    def test_garbage_is_a_candidate_like_any_other(self, spec):
        assert all(outcome(spec, p, Fake(garbage_rate=0.5)).selection for p in PROMPTS)

    def test_when_all_fails_the_outcome_says_why(self, spec):
        o = outcome(spec, PROMPTS[0], Fake(error_rate=1.0))
        assert o.selection is None
        assert o.stopped == "error"
        assert "told to fail" in o.error

    def test_a_hanging_draw_ends_at_the_deadline_and_the_rest_is_used(self, spec):
        strategy = registry.parse("strategies", spec)
        engines = {"policy": Fake(hang_rate=0.3, max_n=1)}

        async def all_at_once():
            return await asyncio.gather(
                *(ask(p, strategy, engines, budget=Budget(seconds=0.2)) for p in PROMPTS)
            )

        outcomes = asyncio.run(all_at_once())
        assert any(o.stopped == "deadline" for o in outcomes)
        assert all(o.seconds < 2 for o in outcomes)
        for o in outcomes:
            if o.stopped == "deadline" and any(c.is_usable for c in o.candidates):
                assert o.selection is not None

    def test_candidates_are_numbered_by_place(self, spec):
        o = outcome(spec, PROMPTS[0])
        assert [c.id for c in o.candidates] == list(range(len(o.candidates)))

    def test_the_spec_survives_a_round_trip(self, spec):
        strategy = registry.parse("strategies", spec)
        assert registry.parse("strategies", registry.spec_of(strategy)) == strategy

    def test_weights_are_shares(self, spec):
        selection = outcome(spec, PROMPTS[2]).selection
        assert isclose(sum(selection.weights.values()), 1, abs_tol=1e-9)


def same(a, b):
    return replace(a, seconds=0.0) == replace(b, seconds=0.0)
