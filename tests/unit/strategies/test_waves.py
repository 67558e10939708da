"""`parallel(stop=…, wave=…)`: draws in waves, until a rule says that it is enough."""

import asyncio
from dataclasses import dataclass, field

import pytest

from nbest import registry
from nbest.errors import EngineError, SpecError
from nbest.run import ask
from nbest.selection.vote import Vote
from nbest.strategies.parallel import Parallel
from nbest.types import Budget, Completion, Logprobs, Overrides, Usage, replace
from scripted import Scripted, prompt_of

HI = prompt_of("७ और ५ का योग क्या है?", "hi")


@dataclass(eq=False)
class Sequence(Scripted):
    """Call i says `says[i]`, a text; None never ends. Later calls repeat the last one."""

    says: list = field(default_factory=list, kw_only=True)
    num_open: int = 0
    most_open: int = 0

    async def generate(self, request, on_delta=None):
        i = len(self.requests)
        self.requests.append(request)
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        said = self.says[min(i, len(self.says) - 1)]
        try:
            await self.wait(30 if said is None else 0.01)
        finally:
            self.num_open -= 1
        if isinstance(said, Exception):
            raise said
        usage = Usage(prompt=5, completion=7, calls=1)
        is_wanted = request.params.logprobs is not None
        logprobs = Logprobs(tokens=(said,), values=(-0.5,)) if is_wanted else None
        return [Completion(text=said, usage=usage, logprobs=logprobs)] * request.n


def answer(spec, says, *, prompt=HI, **how):
    engine = Sequence(says=says)
    strategy = registry.parse("strategies", spec)
    outcome = asyncio.run(ask(prompt, strategy, {"policy": engine}, **how))
    return outcome, engine


VOTE = "parallel(sampler=iid(n={n}), selector=vote, stop={stop}, wave={wave})"


def test_one_at_a_time_until_the_answer_is_certain():
    outcome, engine = answer(VOTE.format(n=16, stop="adaptive_consistency", wave=1), ["१२", "१३", "१२"])
    assert outcome.text == "१२"
    assert len(engine.requests) == 7  # 6 to 1: P = 1 − I_½(7, 2) = .965
    assert engine.most_open == 1
    assert outcome.stopped == "stop"
    assert outcome.notes == ("adaptive_consistency stopped after 7 of 16 draws",)
    assert outcome.usage["policy"].completion == 7 * 7


def test_draws_keep_the_seeds_that_they_have_without_a_stop():
    _, at_once = answer("parallel(sampler=iid(n=8), selector=vote)", ["12"])
    _, in_waves = answer(VOTE.format(n=8, stop="first_n(8)", wave=3), ["12"])
    [request] = at_once.requests
    seeds = [r.params.seed for r in in_waves.requests]
    assert seeds == [request.params_of(i).seed for i in range(8)]
    assert in_waves.most_open == 3


def test_where_the_rule_never_stops_all_are_drawn():
    outcome, engine = answer(
        VOTE.format(n=6, stop="adaptive_consistency", wave=4), ["1", "2", "3", "4", "5", "6"]
    )
    assert len(engine.requests) == 6
    assert (outcome.stopped, outcome.notes) == ("done", ())


def test_a_rule_that_stops_at_the_last_draw_leaves_nothing_out():
    outcome, _ = answer(VOTE.format(n=4, stop="first_n(4)", wave=4), ["12"])
    assert (outcome.stopped, outcome.notes) == ("done", ())


def test_all_at_once_and_cancelled_when_certain():
    outcome, engine = answer(VOTE.format(n=8, stop="adaptive_consistency", wave=8), ["12"] * 4 + [None])
    assert outcome.text == "12"
    assert engine.num_cancelled == 4
    assert [c.error for c in outcome.candidates if c.error] == [
        "cancelled: the draws before it were enough"
    ] * 4
    assert outcome.stopped == "stop"
    assert set(outcome.selection.weights) == {0, 1, 2, 3}


def test_a_failed_draw_is_no_vote():
    outcome, engine = answer(
        VOTE.format(n=9, stop="adaptive_consistency", wave=1), [EngineError("no"), "12", "12", "12", "12"]
    )
    assert outcome.text == "12"
    assert len(engine.requests) == 5  # 4 to 0: P = .969


def test_a_budget_ends_the_waves():
    outcome, engine = answer(VOTE.format(n=9, stop="first_n(8)", wave=2), ["12"], budget=Budget(samples=5))
    assert len(engine.requests) == 5
    assert outcome.stopped == "budget"


def test_a_rule_on_scores_has_its_scorer_asked_once_a_draw():
    spec = (
        "parallel(sampler=iid(n=6), selector=best(scorer={0}), stop=threshold(scorer={0}, tau=1.0), wave=1)"
    )
    outcome, engine = answer(spec.format("oracle"), ["11", "13", "12"], prompt=HI, gold={"answer": "१२"})
    assert outcome.text == "12"
    assert len(engine.requests) == 3


def test_log_probabilities_are_asked_for_where_the_rule_reads_them():
    spec = "parallel(sampler=iid(n=2), selector=vote, stop=threshold(scorer=logprob, tau=0.0), wave=2)"
    _, engine = answer(spec, ["12"])
    assert {r.params.logprobs for r in engine.requests} == {0}


def test_a_greedy_draw_of_the_sampler_comes_first():
    spec = "parallel(sampler=hedged(n=5), selector=vote, stop=first_n(2), wave=1)"
    _, engine = answer(spec, ["12"])
    assert [r.params.temperature for r in engine.requests] == [0.0, 0.7]


@pytest.mark.parametrize("spec", ["parallel(stop=first_n(2), wave=0)", "parallel(stop=first_n(2), quorum=2)"])
def test_what_contradicts_itself_is_refused(spec):
    with pytest.raises(SpecError):
        registry.parse("strategies", spec)


def test_a_bug_in_a_rule_is_not_hidden():
    class Broken:
        def __call__(self, features):
            raise KeyError("oops")

    strategy = Parallel(selector=Vote(), stop=Broken())
    with pytest.raises(KeyError, match="oops"):
        asyncio.run(ask(HI, strategy, {"policy": Sequence(says=["1"])}))


def test_a_deadline_ends_the_waves():
    outcome, engine = answer(
        VOTE.format(n=9, stop="first_n(8)", wave=2), ["12", "12", None], budget=Budget(seconds=0.3)
    )
    assert outcome.text == "12"
    assert outcome.stopped == "deadline"
    assert len(engine.requests) <= 6


def test_draws_that_break_the_clients_format_are_no_votes():
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}
    body = {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}
    prompt = replace(HI, overrides=Overrides(body=body))
    good = '{"answer": 12}'
    outcome, engine = answer(
        VOTE.format(n=9, stop="adaptive_consistency", wave=1), ["12", "12", "12", "12", good], prompt=prompt
    )
    assert outcome.text == good
    assert len(engine.requests) == 8  # four that are no JSON, then 4 to 0
