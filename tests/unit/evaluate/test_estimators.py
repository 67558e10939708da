import numpy as np
import pytest
from scipy import stats

from nbest.evaluate.estimators import (
    correctness,
    hope,
    majority_at_k,
    mean_interval,
    pass_at_k,
    risk,
    scores_of_pools,
)
from nbest.types import Candidate, Message, Outcome, Prompt, Selection


def outcome(texts, gold, *, winner=0, language="ar"):
    pool = tuple(Candidate(id=i, text=t) for i, t in enumerate(texts))
    return Outcome(
        prompt=Prompt(id="p", messages=(Message(role="user", content="؟"),), language=language),
        strategy="s",
        seed=0,
        selection=Selection(winner=pool[winner], weights={winner: 1.0}),
        candidates=pool,
        usage={},
        gold={"answer": gold},
    )


def test_an_answer_is_right_in_any_digits():
    assert correctness([outcome(["الجواب: ٤٢"], "42"), outcome(["الجواب: ٤٣"], "42")]).tolist() == [1, 0]


def test_no_selection_is_not_right():
    o = outcome(["42"], "42")
    assert (
        correctness([Outcome(**{f: getattr(o, f) for f in o.__struct_fields__} | {"selection": None})])[0]
        == 0
    )


def test_hope_and_risk_are_the_best_and_worst_of_the_pool_against_greedy():
    pools = scores_of_pools([outcome(["1", "2"], "1"), outcome(["1", "1"], "1"), outcome(["3", "3"], "1")])
    greedy = np.array([1.0, 1.0, 0.0])
    assert hope(pools, greedy).value == pytest.approx(0)
    assert risk(pools, greedy).value == pytest.approx(-1 / 3)


def test_the_interval_is_the_percentile_bootstrap():
    values = np.random.default_rng(5).normal(0.2, 1, 300)
    ours = mean_interval(values, resamples=5000)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=5000, random_state=1)
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.01)


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no values"):
        mean_interval(np.array([]))


def test_k_must_fit_the_pool():
    with pytest.raises(ValueError, match="k = 3 of pools of 2"):
        pass_at_k(np.array([1]), np.array([2]), 3)


def test_pass_at_k_of_very_large_pools_stays_finite():
    assert pass_at_k(np.array([1]), np.array([10**6]), 1000)[0] == pytest.approx(1e-3)


def test_large_pools_are_subsampled_close_to_the_truth():
    classes = np.tile(np.repeat([0, 1, 2], [20, 12, 8]), (40, 1))
    right = (classes == 0).astype(float)
    found = majority_at_k(right, classes, 7, seed=1)
    assert found.tolist() == majority_at_k(right, classes, 7, seed=1).tolist()
    rng = np.random.default_rng(0)
    tops = []
    for _ in range(4000):
        counts = np.bincount(rng.permutation(classes[0])[:7], minlength=3)
        tops.append((counts[0] == counts.max()) / (counts == counts.max()).sum())
    assert found.mean() == pytest.approx(np.mean(tops), abs=0.02)
