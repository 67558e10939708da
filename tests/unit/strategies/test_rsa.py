import asyncio

import pytest

from judges import shown
from nbest import registry
from nbest.engines.fake import Fake
from nbest.errors import EngineError, SpecError
from nbest.run import ask
from nbest.sampling.iid import Iid
from nbest.selection.first import First
from nbest.strategies.rsa import Rsa
from nbest.types import Budget, Completion, Usage
from scripted import PROMPT, Scripted

SMALL = Rsa(sampler=Iid(n=4), subset=2, steps=3, selector=First())


def solve(engine, strategy=SMALL, **how):
    return asyncio.run(ask(PROMPT, strategy, {"policy": engine}, **how))


def generation(request) -> int:
    """0 for a first draw, else one more than the newest answer that it was made from."""
    return 1 + max(map(int, shown(request).values())) if shown(request) else 0


def counts(request):
    return Completion(text=str(generation(request)), usage=Usage(completion=1, calls=1))


def test_each_step_makes_a_population_from_the_one_before():
    engine = Scripted(counts)
    outcome = solve(engine)
    assert [c.text for c in outcome.candidates] == ["0"] * 4 + ["1"] * 4 + ["2"] * 4 + ["3"] * 4
    for c in outcome.candidates[4:]:
        step = int(c.text)
        assert len(c.parents) == 2
        assert all(4 * (step - 1) <= p < 4 * step for p in c.parents)
    assert outcome.text == "3"
    assert set(outcome.usage) == {"policy"}


def test_subsets_differ_within_a_step_and_with_the_seed():
    parents = [tuple(c.parents for c in solve(Fake(), seed=s).candidates) for s in range(3)]
    assert len(set(parents)) == 3
    assert len(set(parents[0][4:8])) > 1


def test_a_subset_larger_than_the_population_takes_it_all():
    outcome = solve(Fake(), Rsa(sampler=Iid(n=2), subset=9, steps=1, selector=First()))
    assert [c.parents for c in outcome.candidates] == [(), (), (0, 1), (0, 1)]


def test_one_of_one_is_self_refinement():
    outcome = solve(Scripted(counts), Rsa(sampler=Iid(n=1), subset=1, steps=2, selector=First()))
    assert [c.parents for c in outcome.candidates] == [(), (0,), (1,)]


def test_no_steps_is_sampling_alone():
    assert len(solve(Fake(), Rsa(sampler=Iid(n=3), steps=0)).candidates) == 3


@pytest.mark.parametrize(("samples", "oldest"), [(4, 0), (5, 1), (9, 5), (12, 8)])
def test_at_the_end_of_the_budget_the_best_population_so_far_answers(samples, oldest):
    outcome = solve(Scripted(counts), budget=Budget(samples=samples))
    assert len(outcome.candidates) == samples
    assert outcome.stopped == "budget"
    assert outcome.selection.winner.id == oldest


@pytest.mark.parametrize(
    "bad", [EngineError("HTTP 500"), Completion(text="99", finish="length"), Completion(text="", error="x")]
)
def test_a_failed_or_cut_off_aggregate_leaves_the_old_answer_standing(bad):
    outcome = solve(Scripted(lambda r: bad if shown(r) else counts(r)))
    assert outcome.text == "0"
    assert len(outcome.candidates) == 16


def test_a_failed_first_draw_is_made_up_for_by_the_next_step():
    engine = Scripted(lambda r: counts(r) if shown(r) or len(engine.requests) > 1 else EngineError("no"))
    strategy = Rsa(sampler=registry.parse("samplers", "ladder(n=4)"), subset=2, steps=1, selector=First())
    outcome = solve(engine, strategy)
    assert sum(c.error is None for c in outcome.candidates) == 7
    assert not any(0 in c.parents for c in outcome.candidates)


def test_where_every_first_draw_failed_nothing_is_aggregated():
    engine = Scripted(lambda _: EngineError("zerbrochen"))
    outcome = solve(engine)
    assert outcome.selection is None
    assert outcome.error == "all 4 candidates failed; the first: zerbrochen"
    assert [c.parents for c in outcome.candidates] == [()] * 4
    assert [request.n for request in engine.requests] == [4]


def test_nonsense_parameters_are_said():
    with pytest.raises(SpecError, match="subset must be at least 1"):
        registry.parse("strategies", "rsa(subset=0)")
