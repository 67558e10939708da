import asyncio
from dataclasses import dataclass, field

import pytest

from judges import pool_of
from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import CapabilityError, EngineError, SpecError
from nbest.protocols import Capabilities
from nbest.scoring.oracle_rollouts import OracleRollouts
from nbest.scoring.rollouts import Rollouts
from nbest.types import Budget, Candidate, Completion, Usage
from scripted import PROMPT


@dataclass
class Completer:
    """Ends each prefix as `ends` says, draw after draw."""

    ends: dict
    asked: list = field(default_factory=list)
    mark: str = "答案："
    name: str = "completer"
    prefix: bool = True

    async def capabilities(self):
        return Capabilities(prefix=self.prefix)

    async def generate(self, request):
        self.asked.append(request)
        said = self.ends[request.prefix]
        if isinstance(said, Exception):
            raise said
        return [
            Completion(text=f"{self.mark}{said[i % len(said)]}", usage=Usage(completion=3, calls=1))
            for i in range(request.n)
        ]


def begun(*texts):
    return [Candidate(id=i, text=t, finish="step") for i, t in enumerate(texts)]


def score(ends, pool, scorer, gold=None, mark="答案：", **how):
    engine = Completer(ends, mark=mark)
    ctx = Context({"policy": engine}, gold=gold, prompt_id="p", **how)
    return asyncio.run(scorer(PROMPT, pool, ctx)), engine, ctx


ENDS = {"一\n": ("12", "١٢", "7", "12"), "二\n": ("7", "7", "12", "9"), "三\n": ("", "", "", "")}


def test_agreement_with_what_most_rollouts_end_in():
    scores, engine, ctx = score(ENDS, begun("一\n", "二\n", "三\n"), Rollouts(k=4))
    assert [s.value for s in scores] == [0.75, 0.25, 0.0]
    assert {r.role for r in engine.asked} == {"verifier"}
    assert ctx.meter.usage == {"verifier": Usage(completion=36, calls=12)}
    assert ctx.candidates == []


def test_the_expected_share_of_the_vote():
    scores, _, _ = score(ENDS, begun("一\n", "二\n"), Rollouts(k=4, value="share"))
    p12, p7, p9 = 0.5, 0.375, 0.125
    assert [s.value for s in scores] == [(3 * p12 + p7) / 4, (2 * p7 + p12 + p9) / 4]


def test_finished_candidates_cost_nothing_and_get_their_share_of_the_vote():
    pool = pool_of("答案：12", "答案：7", "答え：１２", "…")
    scores, engine, _ = score({}, pool, Rollouts(value="share"))
    assert [s.value for s in scores] == [0.5, 0.25, 0.5, 0.0]
    assert engine.asked == []
    scores, _, _ = score({}, pool, Rollouts())
    assert [s.value for s in scores] == [1.0, 0.0, 1.0, 0.0]


def test_json_counts_by_its_fields_as_in_a_vote():
    pool = pool_of('{"城市":"京都","n":3}', '{"城市":"奈良","n":3}', '{"n": 3.0, "城市": "京都"}')
    scores, _, _ = score({}, pool, Rollouts(value="share"))
    assert [s.value for s in scores] == [pytest.approx(2 / 3), pytest.approx(1 / 3), pytest.approx(2 / 3)]


def test_json_that_was_rolled_out_counts_each_rollout_once():
    ends = {'{"t":': ('1,"n":2}', '5,"n":2}', '7,"n":2}')}
    scores, _, _ = score(ends, begun('{"t":'), Rollouts(k=3), mark="")
    assert [s.value for s in scores] == [1.0]  # `t` is worded in three ways: no field to tell answers by


def test_of_equal_classes_the_one_reached_first_counts_whatever_the_order():
    pool = pool_of("答案：7", "答案：12")
    assert [s.value for s in score({}, pool, Rollouts())[0]] == [1.0, 0.0]
    assert [s.value for s in score({}, pool[::-1], Rollouts())[0]] == [0.0, 1.0]


def test_every_step_of_a_finished_solution():
    ends = {"一\n": ("12", "7"), "一\n二\n": ("12", "12")}
    [s], engine, _ = score(ends, pool_of("一\n二\n答案：12"), Rollouts(k=2, every=True, reduce="mean"))
    assert s.steps == (0.5, 1.0, 1.0)
    assert s.value == pytest.approx(2.5 / 3)
    assert len(engine.asked) == 2


def test_a_beginning_is_completed_once():
    engine = Completer(ENDS)
    ctx = Context({"policy": engine})
    for _ in range(2):
        asyncio.run(Rollouts(k=4)(PROMPT, begun("一\n", "二\n"), ctx))
    assert len(engine.asked) == 2


def test_seeds_do_not_depend_on_the_order():
    _, one, _ = score(ENDS, begun("一\n", "二\n"), Rollouts())
    _, other, _ = score(ENDS, begun("二\n", "一\n"), Rollouts())
    assert {r.prefix: r.params.seed for r in one.asked} == {r.prefix: r.params.seed for r in other.asked}


def test_what_cannot_be_completed_has_no_value_and_is_noted():
    ends = ENDS | {"二\n": EngineError("down")}
    pool = [*begun("一\n", "二\n"), Candidate(id=2, text="", error="HTTP 500")]
    scores, _, ctx = score(ends, pool, Rollouts(k=2))
    assert [s.value for s in scores] == [1.0, None, None]
    assert "1 of 2 beginnings have no value; the first: down" in ctx.notes[0]


def test_a_budget_is_never_overspent():
    scores, engine, ctx = score(ENDS, begun("一\n", "二\n"), Rollouts(k=4), budget=Budget(samples=5))
    assert sum(r.n for r in engine.asked) == 5
    assert ctx.stopped == "budget"
    assert [s.value for s in scores] == [0.25, 1.0]  # p(7) = (¼ + 1) / 2: each beginning weighs the same


def test_an_engine_that_continues_nothing_is_said():
    ctx = Context({"policy": Completer(ENDS, prefix=False)})
    with pytest.raises(CapabilityError, match="answers anew"):
        asyncio.run(Rollouts()(PROMPT, begun("一\n"), ctx))


def test_with_gold_it_is_the_share_that_ends_right():
    pool = [*begun("一\n", "二\n"), Candidate(id=2, text="答案：12")]
    scores, _, ctx = score(ENDS, pool, OracleRollouts(k=4), gold={"answer": "12"})
    assert [s.value for s in scores] == [0.75, 0.25, 1.0]
    assert ctx.meter.usage["verifier"].calls == 8


def test_the_fake_engine_will_do():
    ctx = Context({"policy": Fake()})
    [s] = asyncio.run(Rollouts(k=3)(PROMPT, begun("第一步\n"), ctx))
    assert 0 <= s.value <= 1


@pytest.mark.parametrize("spec", ["rollouts(k=0)", "rollouts(reduce=min)", "oracle_rollouts(k=0)"])
def test_parameters_that_do_not_fit_are_said(spec):
    with pytest.raises(SpecError):
        registry.parse("scorers", spec)
