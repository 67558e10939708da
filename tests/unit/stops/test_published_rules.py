"""Each published rule against a naive twin of its formula, over all orders of votes of small pools."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from nbest import registry
from nbest.errors import SpecError
from nbest.plan.features import Features

POOLS = [Features(classes=p) for n in range(1, 6) for p in itertools.product((0, 1, 2, None), repeat=n)]
POOLS += [
    Features(classes=(0,) * a + (1,) * b + (2,) * c) for a in (6, 9, 15) for b in (0, 2, 5) for c in (0, 2)
]


def two(features):
    return (*features.counts, 0, 0)[:2]


def adaptive_consistency(f):
    first, second = two(f)
    return first > 0 and stats.beta(first + 1, second + 1).sf(0.5) >= 0.95


def esc(f, window):
    for start in range(0, f.n - window + 1, window):
        part = f.classes[start : start + window]
        if part[0] is not None and all(c == part[0] for c in part):
            return True
    return False


def sprt(f):
    first, second = two(f)
    if not first:
        return False
    above, _ = integrate.quad(lambda p: p**first * (1 - p) ** second, 0.5, 1)
    return 2 * above / 0.5 ** (first + second) >= 20


def e_process(f):
    n = sum(f.counts)
    if not n:
        return False
    first, second = two(f)
    return max(1, len(f.counts) - 1) * math.exp(-n * ((first - second) / n) ** 2 / 2) <= 0.05


@pytest.mark.parametrize(
    ("spec", "twin"),
    [
        ("adaptive_consistency", adaptive_consistency),
        ("esc(window=3)", lambda f: esc(f, 3)),
        ("esc(window=2)", lambda f: esc(f, 2)),
        ("sprt", sprt),
        ("e_process", e_process),
        ("first_n(3)", lambda f: len(f.classes) >= 3),
    ],
)
def test_a_rule_is_its_formula(spec, twin):
    rule = registry.parse("stops", spec)
    answers = [rule(f) for f in POOLS]
    assert answers == [bool(twin(f)) for f in POOLS]
    assert len(set(answers)) == 2, "the pools do not tell stopping from going on"


def test_bayes_factor_is_its_formula_by_simulation():
    rule = registry.parse("stops", "bayes_factor(b=10)")
    rng = np.random.default_rng(1)
    num_checked = 0
    for counts in {f.counts for f in POOLS if f.counts}:
        drawn = rng.dirichlet((*counts, 0.3), 40_000)
        p = (drawn.argmax(axis=1) == 0).mean()
        odds = len(counts) * p / max(1e-9, 1 - p)
        if abs(math.log(odds / 10)) > 0.15:  # outside of what 40 000 draws cannot tell
            classes = tuple(i for i, votes in enumerate(counts) for _ in range(votes))
            assert rule(Features(classes=classes)) == (odds >= 10), counts
            num_checked += 1
    assert num_checked > 20


@pytest.mark.parametrize(
    "spec", ["adaptive_consistency", "bayes_factor", "sprt", "e_process", "esc(window=1)"]
)
def test_draws_without_an_answer_stop_nothing(spec):
    assert not registry.parse("stops", spec)(Features(classes=(None,) * 50))


@pytest.mark.parametrize(
    "spec", ["adaptive_consistency", "bayes_factor(b=10)", "sprt", "e_process", "esc(window=4)"]
)
def test_agreement_stops_and_disagreement_goes_on(spec):
    rule = registry.parse("stops", spec)
    assert rule(Features(classes=(0,) * 12))
    assert not rule(Features(classes=(0, 1) * 6))


def test_the_first_draw_that_is_good_enough_stops():
    rule = registry.parse("stops", "threshold(logprob, tau=-0.5)")
    assert not rule(Features(classes=(0, 1), scores=(-2.0, None)))
    assert rule(Features(classes=(0, 1), scores=(None, -0.5)))


def test_the_index_stops_where_a_draw_does_not_pay_for_itself():
    scores = [0.1, 0.5, 0.4, 0.6]
    z, scale = (0.6 - np.mean(scores)), np.std(scores, ddof=1) * math.sqrt(1.25)
    posterior = stats.t(3, loc=np.mean(scores), scale=scale)
    gain, _ = integrate.quad(lambda s: (s - 0.6) * posterior.pdf(s), 0.6, np.inf)
    assert z > 0
    for cost, stops in ((gain * 1.001, True), (gain * 0.999, False)):
        rule = registry.parse("stops", f"index(logprob, cost={cost!r})")
        assert rule(Features(classes=(0,) * 4, scores=tuple(scores))) is stops


def test_the_index_needs_some_scores():
    rule = registry.parse("stops", "index(logprob, cost=100.0)")
    assert not rule(Features(classes=(0, 0, 0), scores=(1.0, None, 1.0)))
    assert rule(Features(classes=(0, 0, 0), scores=(1.0, 1.0, 1.0)))


@pytest.mark.parametrize(
    "spec",
    [
        "first_n(0)",
        "adaptive_consistency(0.4)",
        "adaptive_consistency(1)",
        "esc(0)",
        "bayes_factor(0)",
        "bayes_factor(alpha=0)",
        "sprt(0)",
        "e_process(1)",
        "index(logprob, cost=0)",
        "index(logprob, least=2)",
    ],
)
def test_parameters_that_mean_nothing_are_refused(spec):
    with pytest.raises(SpecError, match="must be"):
        registry.parse("stops", spec)
