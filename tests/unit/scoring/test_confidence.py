import asyncio
from dataclasses import replace
from math import isclose, log

import pytest

from nbest import registry
from nbest.context import Context
from nbest.errors import CapabilityError, SpecError
from nbest.protocols import logprobs_needed
from nbest.scoring.deep_conf import DeepConf
from nbest.scoring.self_certainty import SelfCertainty
from nbest.selection.best import Best
from nbest.types import Candidate, Logprobs
from scripted import prompt_of

PROMPT = prompt_of("7 + 5 =")


def candidate(*places, id_=0):
    """One token per place, each with the probabilities of its likeliest tokens."""
    top = tuple({f"t{i}": log(p) for i, p in enumerate(place)} for place in places)
    values = tuple(max(t.values()) for t in top)
    return Candidate(id=id_, text="x", logprobs=Logprobs(tokens=("t",) * len(places), values=values, top=top))


def value(scorer, *places):
    return asyncio.run(scorer(PROMPT, [candidate(*places)], Context({})))[0].value


class TestSelfCertainty:
    def test_guessing_is_zero_and_certainty_is_more(self):
        assert isclose(value(SelfCertainty(), [0.25] * 4), 0, abs_tol=1e-12)
        assert value(SelfCertainty(), [0.9, 0.05, 0.05]) > value(SelfCertainty(), [0.5, 0.25, 0.25]) > 0

    def test_a_vocabulary_that_is_all_returned_gives_the_papers_value(self):
        p = [0.7, 0.2, 0.1]
        paper = -sum(log(3 * x) for x in p) / 3
        assert isclose(value(SelfCertainty(), p), paper)
        # 4 tokens, of which the last has what is left.
        p4 = [*p[:2], 0.06, 0.04]
        paper = -sum(log(4 * x) for x in p4) / 4
        assert isclose(value(SelfCertainty(top=3, vocabulary=4), p4[:3]), paper)

    def test_with_a_vocabulary_it_is_a_lower_bound_of_the_papers_value(self):
        p = [0.6, 0.2, 0.1, 0.06, 0.03, 0.01]
        paper = -sum(log(6 * x) for x in p) / 6
        bounds = [value(SelfCertainty(top=k, vocabulary=6), p) for k in (2, 3, 4, 5)]
        assert bounds == sorted(bounds)
        assert isclose(bounds[-1], paper)
        assert bounds[0] < paper

    def test_it_is_the_mean_over_tokens(self):
        a, b = [0.9, 0.1], [0.6, 0.4]
        alone = value(SelfCertainty(), a), value(SelfCertainty(), b)
        assert isclose(value(SelfCertainty(), a, b), sum(alone) / 2)

    def test_rounding_leaves_no_infinity(self):
        assert value(SelfCertainty(top=2, vocabulary=32000), [1.0, 1e-300]) < 1000


class TestDeepConf:
    PLACES = ([0.5, 0.5], [0.9, 0.1], [0.99, 0.01], [0.6, 0.4])

    def confidences(self):
        return [-(log(a) + log(b)) / 2 for a, b in self.PLACES]

    def test_mean_and_tail(self):
        c = self.confidences()
        assert isclose(value(DeepConf(measure="mean"), *self.PLACES), sum(c) / 4)
        assert isclose(value(DeepConf(measure="tail", window=2), *self.PLACES), sum(c[2:]) / 2)
        assert isclose(value(DeepConf(measure="tail"), *self.PLACES), sum(c) / 4)

    def test_groups_slide_by_one_token(self):
        c = self.confidences()
        groups = [(c[i] + c[i + 1]) / 2 for i in range(3)]
        assert isclose(value(DeepConf(measure="lowest_group", window=2), *self.PLACES), min(groups))
        least_two = sum(sorted(groups)[:2]) / 2
        assert isclose(value(DeepConf(measure="bottom", window=2, share=0.7), *self.PLACES), least_two)
        assert isclose(value(DeepConf(measure="bottom", window=2), *self.PLACES), min(groups))

    def test_a_text_shorter_than_the_window_is_one_group(self):
        c = self.confidences()
        for measure in ("lowest_group", "bottom", "tail"):
            assert isclose(value(DeepConf(measure=measure, window=9), *self.PLACES), sum(c) / 4)


@pytest.mark.parametrize("scorer", [SelfCertainty(), DeepConf(), DeepConf(measure="lowest_group")])
class TestBoth:
    def test_no_tokens_no_score(self, scorer):
        empty = Candidate(id=1, text="", logprobs=Logprobs(tokens=(), values=()))
        failed = Candidate(id=2, text="", error="HTTP 500")
        scores = asyncio.run(scorer(PROMPT, [candidate([0.5, 0.5]), empty, failed], Context({})))
        assert [s.value is None for s in scores] == [False, True, True]
        assert list(asyncio.run(scorer(PROMPT, [], Context({})))) == []

    def test_alternatives_beyond_the_likeliest_do_not_count(self, scorer):
        """Servers add the drawn token where it is none of those asked for; pools are recorded with more."""
        scorer = replace(scorer, top=2)
        assert value(scorer, [0.5, 0.25, 1e-9]) == value(scorer, [0.5, 0.25])

    def test_alternatives_that_were_not_recorded_are_asked_for(self, scorer):
        bare = Candidate(id=0, text="x", logprobs=Logprobs(tokens=("t",), values=(-1.0,)))
        with pytest.raises(CapabilityError, match="top_logprobs"):
            asyncio.run(scorer(PROMPT, [bare], Context({})))
        with pytest.raises(CapabilityError, match="no log-probabilities"):
            asyncio.run(scorer(PROMPT, [Candidate(id=0, text="x")], Context({})))


def test_parallel_asks_for_as_many_as_needed():
    assert logprobs_needed(Best(scorer=DeepConf())) == 20
    assert logprobs_needed(registry.parse("selectors", "best(self_certainty(top=5))")) == 5


@pytest.mark.parametrize(
    "spec",
    ["self_certainty(top=1)", "self_certainty(vocabulary=20)", "deep_conf(window=0)", "deep_conf(share=0)"],
)
def test_what_cannot_be_meant_is_said(spec):
    with pytest.raises(SpecError):
        registry.parse("scorers", spec)
