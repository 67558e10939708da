"""`planned(FILE)`: a pilot, a bin, the plan's strategy, and the reason in the record."""

import asyncio
import logging

import pytest

from nbest import registry
from nbest.demand import demand_of
from nbest.errors import InputError, SpecError
from nbest.run import ask
from nbest.strategies import planned
from nbest.types import Budget, Completion
from planning import PLAN, write_plan_file
from scripted import Scripted, prompt_of

QUESTIONS = {
    "th": "๗ + ๕ = ?",
    "zh": "七加五等于几？",
    "ar": "كم ٧ + ٥؟",
    "ko": "칠 더하기 오는?",
    "en": "7 + 5?",
}


@pytest.fixture
def plan(tmp_path):
    return write_plan_file(tmp_path / "plan.toml")


def easy(request):
    return ["12"] * request.n


def hard(request):
    return [f"{request.params_of(i).seed % 97}" for i in range(request.n)]


def answer(plan, script, language="zh", *, spec="planned(file='{plan}')", name="scripted", **how):
    engine = Scripted(script, name=name)
    strategy = registry.parse("strategies", spec.format(plan=plan))
    prompt = prompt_of(QUESTIONS[language], language, task="sums")
    return asyncio.run(ask(prompt, strategy, {"policy": engine}, **how)), engine


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_easy_prompt_ends_with_the_pilot(plan, language):
    outcome, engine = answer(plan, easy, language)
    assert outcome.text == "12"
    assert len(outcome.candidates) == 4
    assert sum(r.n for r in engine.requests) == 4
    assert outcome.notes == ("bin 1 of 2: agreement 1 → vote(sampler=iid(n=4, temperature=0.8))",)
    assert outcome.selection.details["plan"] == {
        "bin": 1,
        "num_bins": 2,
        "predicted": 1.0,
        "budget": 16.0,
        "strategy": "vote(sampler=iid(n=4, temperature=0.8))",
        "pilot": [0, 1, 2, 3],
    }


def test_a_hard_prompt_goes_on_and_the_pilot_is_a_part_of_its_pool(plan):
    outcome, engine = answer(plan, hard)
    assert len(outcome.candidates) == sum(r.n for r in engine.requests) == 16
    assert outcome.usage["policy"].completion == sum(c.usage.completion for c in outcome.candidates)
    assert outcome.notes[0].startswith("bin 2 of 2: agreement 0.25 → ")
    whole, _ = answer(plan, hard, spec="vote(sampler=iid(n=16, temperature=0.8))")
    assert sorted(c.text for c in outcome.candidates) == sorted(c.text for c in whole.candidates)
    assert outcome.text == whole.text


def test_a_language_has_its_own_choice(plan):
    outcome, _ = answer(plan, easy, "th")
    assert len(outcome.candidates) == 6


@pytest.mark.parametrize("language", ["ko", "ar"])
def test_a_language_that_the_plan_has_not_seen_is_noted(plan, language):
    outcome, _ = answer(plan, easy, language)
    assert len(outcome.candidates) == 4
    assert outcome.notes[0] == (
        f"the plan was not fitted on language {language}: the choice for all languages is taken"
    )


def test_a_task_that_the_plan_has_not_seen_is_noted(plan):
    engine = Scripted(easy)
    strategy = registry.parse("strategies", f"planned('{plan}')")
    prompt = prompt_of(QUESTIONS["en"], "en", task="tales")
    outcome = asyncio.run(ask(prompt, strategy, {"policy": engine}))
    assert outcome.notes[0] == "the plan was not fitted on task tales: the choice for all tasks is taken"


def test_another_model_is_noted(plan):
    outcome, _ = answer(plan, easy, name="other")
    assert "the plan was fitted on scripted, and other answers: fit it anew" in outcome.notes


@pytest.mark.parametrize(
    ("how", "num_draws"),
    [
        ({"budget": Budget(samples=9)}, 8),
        ({"budget": Budget(samples=16)}, 16),
        ({"budget": Budget(samples=7)}, 4),
        ({"budget": Budget(samples=3)}, 3),
    ],
)
def test_the_largest_budget_within_the_limits_is_used(plan, how, num_draws):
    outcome, _ = answer(plan, hard, **how)
    assert len(outcome.candidates) == num_draws
    too_small = "the plan's smallest budget, 4 answers, is above 3: it is used"
    assert (too_small in outcome.notes) == (num_draws == 3)


def test_the_budget_may_be_set(plan):
    outcome, _ = answer(plan, hard, spec="planned(file='{plan}', budget=8)")
    assert len(outcome.candidates) == 8
    with pytest.raises(SpecError, match="budget must be above 0"):
        registry.parse("strategies", "planned(file=x, budget=0)")


def test_demand_is_the_largest_choice_and_the_pilot(plan):
    spec = "planned(file='{plan}', budget={budget})"
    demands = [
        demand_of(registry.parse("strategies", spec.format(plan=plan, budget=b))).draws for b in (4, 8, 16)
    ]
    assert demands == [8, 12, 20]


def test_draws_that_fail_are_counted_against_agreement(plan):
    def flaky(request):
        places = range(request.n)
        if request.n > 4:
            return ["12"] * request.n
        return [Completion.failed("down") if i > 1 else "12" for i in places]

    outcome, _ = answer(plan, flaky)
    assert outcome.notes[-1].startswith("bin 2 of 2: agreement 0.5 → ")
    assert outcome.text == "12"


def test_the_scorer_of_the_plan_is_asked_once_per_draw(tmp_path):
    head = PLAN.replace("mean_length = 5.0", 'mean_length = 5.0\nscorer = "oracle"')
    head = head.replace("agreement = 1.0", "mean_score = 1.0")
    path = write_plan_file(tmp_path / "plan.toml", head=head)
    outcome, _ = answer(path, hard, gold={"answer": "12"})
    assert outcome.notes[0].startswith("bin 2 of 2: agreement 0.25, mean score 0 → ")
    outcome, _ = answer(path, easy, gold={"answer": "12"})
    assert outcome.notes[0].startswith("bin 1 of 2: agreement 1, mean score 1 → ")


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml"):
        answer(tmp_path / "none.toml", easy)


def test_another_mix_of_bins_is_logged_once(plan, caplog):
    planned._mix_by_file.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(120):
            answer(plan, easy)
    told = [r.getMessage() for r in caplog.records if "mix of difficulty" in r.getMessage()]
    assert len(told) == 1
    assert "100% of 100 prompts are in bin 1, 50% when the plan was fitted" in told[0]


def test_the_plan_is_closed_to_clients(plan):
    with pytest.raises(SpecError, match="planned is for presets only"):
        registry.parse("strategies", f"planned(file='{plan}')", is_from_client=True)
    with pytest.raises(SpecError, match="names a file of the server"):
        registry.parse("strategies", f"auto(file='{plan}')", is_from_client=True)
