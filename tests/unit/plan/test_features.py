import math

import pytest

from nbest.plan.features import FEATURE_NAMES, Features, features_of
from nbest.types import Candidate, Logprobs, Prompt, Usage

PROMPT = Prompt(id="p", messages=(), language="th", task="mgsm")


def candidate(id_, text, *, tokens=10, logprobs=None, error=None):
    values = tuple(logprobs or ())
    known = Logprobs(tokens=("x",) * len(values), values=values) if values else None
    return Candidate(id=id_, text=text, usage=Usage(completion=tokens), logprobs=known, error=error)


def test_classes_are_numbered_in_the_order_of_arrival():
    pool = [candidate(i, t) for i, t in enumerate("४२", 0)] + [
        candidate(2, "41"),
        candidate(3, "", error="x"),
    ]
    found = features_of(pool, ["42", None, "41", "41"], prompt=PROMPT)
    assert found.classes == (0, None, 1, None)
    assert (found.n, found.num_votes, found.num_blank, found.distinct) == (4, 2, 2, 2)
    assert (found.language, found.task) == ("th", "mgsm")


def test_shares_are_of_votes_and_agreement_is_of_draws():
    found = Features(classes=(0, 0, 1, None))
    assert found.counts == (2, 1)
    assert found.shares == (2 / 3, 1 / 3)
    assert found.agreement == 0.5
    assert found.entropy == pytest.approx(-(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)))


def test_lengths_that_the_server_did_not_report_are_left_out():
    found = Features(classes=(0, 0, 1), lengths=(100, 0, 300), mean_length=400.0)
    assert found.length == 200
    assert found.relative_length == 0.5
    assert found.length_spread == 0.5
    assert Features(classes=(0,), lengths=(0,), mean_length=400.0).relative_length == 1.0
    assert Features(classes=(0,), lengths=(50,)).relative_length == 1.0


def test_log_probabilities_are_means_per_draw():
    pool = [candidate(0, "1", logprobs=[-1.0, -3.0]), candidate(1, "1")]
    assert features_of(pool, ["1", "1"], prompt=PROMPT).logprobs == (-2.0, None)
    assert features_of(pool[1:], ["1"], prompt=PROMPT).logprobs == ()


def test_numbers_have_a_value_for_every_name():
    found = Features(classes=(0, 0, 1, 2, None), scores=(0.5, None, 0.75, 0.0, None)).numbers
    assert tuple(found) == FEATURE_NAMES
    assert found["top_share"] == 0.5
    assert found["third_share"] == 0.25
    assert found["blank_share"] == 0.2
    assert (found["mean_score"], found["top_score"]) == (pytest.approx(1.25 / 3), 0.75)
    assert found["mean_logprob"] is None


def test_nothing_drawn_has_features_too():
    assert Features().numbers["top_share"] == 0.0
    assert Features().agreement == 0.0


def test_scores_are_one_for_each_draw():
    with pytest.raises(ValueError, match="1 scores for 2"):
        features_of([candidate(0, "1"), candidate(1, "1")], ["1", "1"], prompt=PROMPT, scores=[0.5])
