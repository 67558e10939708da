"""What every scorer promises that needs nothing but an engine."""

import asyncio
from math import isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.engines.fake_judge import merit
from nbest.lab.problems import problems, solution
from nbest.types import Budget, Candidate, Logprobs, Message, Prompt
from specs import all_of

NEEDS_MORE = {"comet_quality", "hf_prm", "hf_reward", "recorded", "reward", "reference_oracle"}
"""A server, an extra, or a column of the row."""
OWN = [s for s in all_of("scorers") if s.partition("(")[0] not in NEEDS_MORE]
SPECS = [*OWN, "judge(mode=yes_no)", "step_judge(votes=3)", "step_judge(reduce=mean)"]
BATCHWISE = {"rollouts"}
"""What a candidate is worth depends on the others of the call."""
CONFIDENCE = {"deep_conf", "logprob", "self_certainty"}
"""Read from the log-probabilities that a candidate has, whatever became of it."""

[PROBLEM] = problems("test", 1, languages=["ar"])
PROMPT = Prompt(id=PROBLEM.id, messages=(Message(role="user", content=PROBLEM.text),), language="ar")
TEXTS = st.sampled_from([solution(PROBLEM), "الأعداد: ١\n", "答案：十二", "ก\nข\n", "", " \n", "12"])


@st.composite
def pools(draw: st.DrawFn) -> list[Candidate]:
    texts = draw(st.lists(TEXTS, max_size=5))
    fates = draw(st.lists(st.sampled_from(["stop", "step", "length", "error"]), min_size=5, max_size=5))
    top = tuple({t: -1.0, "x": -2.0} for t in "ab")
    logprobs = Logprobs(tokens=("a", "b"), values=(-1.0, -1.5), top=top)
    return [
        Candidate(
            id=i,
            text="" if fate == "error" else text,
            finish=fate,
            error="HTTP 500" if fate == "error" else None,
            logprobs=logprobs,
        )
        for i, (text, fate) in enumerate(zip(texts, fates, strict=False))
    ]


def scores(spec, pool, **how):
    ctx = Context({"policy": Fake()}, prompt_id="p", gold={"answer": PROBLEM.answer}, **how)
    return list(asyncio.run(registry.parse("scorers", spec)(PROMPT, pool, ctx)))


WHOLE = [
    Candidate(
        id=i,
        text=text,
        logprobs=Logprobs(tokens=("a", "b"), values=(-1.0, -1.5), top=({"a": -1.0, "x": -2.0},) * 2),
    )
    for i, text in enumerate([solution(PROBLEM), "答案：十二", "ก\nข", "12", "Ответ: 14", "उत्तर: १२"])
]


@pytest.mark.parametrize("spec", ["judge", "judge(mode=yes_no)"])
def test_what_the_judge_likes_better_scores_no_less(spec):
    by_merit = sorted(WHOLE, key=lambda c: merit(c.text))
    values = [s.value for s in scores(spec, by_merit)]
    assert values == sorted(values)
    assert values[0] < values[-1]


@pytest.mark.parametrize("spec", ["step_judge", "step_judge(votes=3)", "token_prm", "word_steps"])
def test_a_verifier_of_steps_gives_each_step_a_value(spec):
    for c, score in zip(WHOLE, scores(spec, WHOLE), strict=True):
        assert len(score.steps) == len(c.text.splitlines())
        assert score.value == score.steps[-1]


@pytest.mark.parametrize("spec", SPECS)
class TestEveryScorer:
    def test_whole_answers_all_get_a_number(self, spec):
        """A score that is missing, because a verdict was, tests nothing but the way around it."""
        assert None not in [s.value for s in scores(spec, WHOLE)]

    @settings(max_examples=25, deadline=None)
    @given(pool=pools(), order=st.randoms(use_true_random=False))
    def test_one_score_each_whatever_the_order(self, spec, pool, order):
        shuffled = list(pool)
        order.shuffle(shuffled)
        by_id = {c.id: s for c, s in zip(shuffled, scores(spec, shuffled), strict=True)}
        assert [by_id[c.id] for c in pool] == scores(spec, pool)

    @settings(max_examples=25, deadline=None)
    @given(pool=pools())
    def test_a_score_is_a_number_or_nothing(self, spec, pool):
        for c, s in zip(pool, scores(spec, pool), strict=True):
            assert s.value is None or not isnan(s.value)
            assert not any(map(isnan, s.steps))
            if c.error and spec not in CONFIDENCE:
                assert s.value == (0.0 if spec == "oracle" else None)

    @settings(max_examples=15, deadline=None)
    @given(pool=pools())
    def test_a_candidate_alone_scores_as_in_company(self, spec, pool):
        if spec.partition("(")[0] in BATCHWISE:
            pytest.skip("by agreement")
        assert [scores(spec, [c])[0] for c in pool] == scores(spec, pool)

    @pytest.mark.parametrize("samples", [0, 1, 3])
    def test_it_never_draws_more_than_the_budget(self, spec, samples):
        logprobs = Logprobs(tokens=("a",), values=(-1.0,), top=({"a": -1.0, "b": -2.0},))
        pool = [Candidate(id=i, text=f"{i}\n", finish="step", logprobs=logprobs) for i in range(3)]
        ctx = Context({"policy": Fake()}, gold={"answer": "1"}, budget=Budget(samples=samples))
        asyncio.run(registry.parse("scorers", spec)(PROMPT, pool, ctx))
        assert sum(u.calls for u in ctx.meter.usage.values()) <= samples
        assert ctx.candidates == []
