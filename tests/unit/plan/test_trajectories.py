from collections import Counter
from random import Random

import numpy as np
import pytest

from nbest import registry
from nbest.plan.features import Features
from nbest.plan.stop_replay import best_values, replay, stop_places
from nbest.plan.trajectories import PoolArrays, Trajectories, in_orders


def arrays(num_pools=12, size=11, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(size - 3, size + 1, num_pools)
    classes = rng.integers(-1, 4, (num_pools, size)).astype(np.int16)
    lengths = rng.integers(10, 90, (num_pools, size)).astype(np.float32)
    return PoolArrays(
        classes_PN=classes,
        lengths_PN=lengths,
        values_PN=(classes == 2).astype(np.float32),
        inputs_P=np.full(num_pools, 7, dtype=np.float32),
        sizes_P=sizes,
        is_greedy_PN=np.zeros(classes.shape, dtype=np.bool_),
        scores_PN=rng.normal(size=classes.shape).astype(np.float32),
    )


def naive_votes(classes, values):
    """Votes, most first, and the choice's value after each draw, one draw at a time."""
    counts, chosen = [], []
    for k in range(1, len(classes) + 1):
        votes = Counter(c for c in classes[:k] if c >= 0)
        counts.append(tuple(sorted(votes.values(), reverse=True)))
        if not votes:
            chosen.append(values[0])
            continue
        first = {c: list(classes).index(c) for c in votes}
        leader = max(votes, key=lambda c: (votes[c], -first[c]))
        chosen.append(values[first[leader]])
    return counts, chosen


def test_votes_and_choices_are_those_of_one_draw_after_the_other():
    found = in_orders(arrays(), 8, num_orders=5)
    for t in range(found.prompts_T.size):
        counts, chosen = naive_votes(found.classes_TK[t], found.values_TK[t])
        at = found.votes.at_TK[t]
        assert [tuple(int(v) for v in found.votes.counts_UC[u] if v) for u in at] == counts
        assert found.votes.num_draws_U[at].tolist() == list(range(1, 9))
        assert found.votes.value_TK[t].tolist() == chosen


def test_equal_votes_are_one_row():
    found = in_orders(arrays(), 8, num_orders=5)
    votes = zip(found.votes.counts_UC.tolist(), found.votes.num_draws_U.tolist(), strict=True)
    assert len({(*counts, n) for counts, n in votes}) == found.votes.num_draws_U.size


def test_orders_are_without_replacement_and_within_a_pool():
    pools = arrays()
    pools.lengths_PN[:] = np.arange(pools.lengths_PN.size).reshape(pools.lengths_PN.shape)  # names each draw
    found = in_orders(pools, 8, num_orders=3)
    for t, p in enumerate(found.prompts_T):
        own = set(pools.lengths_PN[p, : pools.sizes_P[p]].tolist())
        drawn = found.lengths_TK[t].tolist()
        assert len(set(drawn)) == 8
        assert set(drawn) <= own
    assert (in_orders(pools, 8, seed=1).lengths_TK != in_orders(pools, 8, seed=2).lengths_TK).any()


def test_the_greedy_draw_comes_first():
    pools = arrays()
    pools.is_greedy_PN[:, 5] = True
    found = in_orders(pools, 8, num_orders=3)
    assert (found.lengths_TK[:, 0] == pools.lengths_PN[found.prompts_T, 5]).all()


def one(lengths, wave, classes=None):
    size = len(lengths)
    pools = PoolArrays(
        classes_PN=np.array([classes or [0] * size], dtype=np.int16),
        lengths_PN=np.array([lengths], dtype=np.float32),
        values_PN=np.ones((1, size), dtype=np.float32),
        inputs_P=np.array([5], dtype=np.float32),
        sizes_P=np.array([size]),
        is_greedy_PN=np.zeros((1, size), dtype=np.bool_),
    )
    return in_orders(pools, size, num_orders=1, wave=wave)


def test_one_at_a_time_costs_what_was_drawn():
    found = one([10, 30, 20], 1)
    order = found.lengths_TK[0]
    assert found.tokens[0].tolist() == np.cumsum(order).tolist() == found.latency[0].tolist()
    assert found.num_started.tolist() == [1, 2, 3]


def test_all_at_once_arrive_by_length_and_the_rest_is_cut():
    found = one([10, 30, 20], 3)
    assert found.lengths_TK[0].tolist() == [10, 20, 30]
    assert found.tokens[0].tolist() == [10 * 3, 10 + 20 * 2, 10 + 20 + 30]
    assert found.latency[0].tolist() == [10, 20, 30]
    assert found.num_started.tolist() == [3, 3, 3]


def test_waves_wait_for_the_longest_of_each():
    found = one([10] * 2 + [40] * 2, 2)
    [a, b, c, d] = found.lengths_TK[0]
    assert found.latency[0].tolist() == [a, b, b + c, b + d]
    assert found.tokens[0].tolist() == [2 * a, a + b, a + b + 2 * c, a + b + c + d]
    assert found.num_started.tolist() == [2, 2, 4, 4]


@pytest.mark.parametrize("wave", [1, 3])
@pytest.mark.parametrize(
    "spec",
    ["first_n(3)", "adaptive_consistency(0.8)", "bayes_factor(3)", "esc(2)", "threshold(logprob, tau=0.5)"],
)
def test_rules_stop_where_they_would_one_draw_at_a_time(spec, wave):
    found = in_orders(arrays(), 8, num_orders=4, wave=wave)
    rule = registry.parse("stops", spec)
    places = stop_places(rule, found)
    for t, place in enumerate(places):
        stops = [k for k in range(8) if rule(found.features(t, k + 1))]
        assert place == min([*stops, 7])


def test_a_rule_that_is_asked_for_all_at_once_is_the_rule():
    found = in_orders(arrays(30), 8, num_orders=4)
    rule = registry.parse("stops", "esc(3)")
    stops = rule.stops_on(found, None)
    for t, k in [(t, k) for t in range(0, 120, 7) for k in range(8)]:
        assert stops[t, k] == rule(found.features(t, k + 1))


def test_the_choice_of_a_rule_on_scores_is_the_best_so_far():
    found = in_orders(arrays(), 8, num_orders=2)
    found.scores_TK[0, :3] = np.nan
    values = best_values(found)
    for t in range(found.prompts_T.size):
        for k in range(8):
            known = [(s, -i) for i, s in enumerate(found.scores_TK[t, : k + 1]) if not np.isnan(s)]
            best = -max(known)[1] if known else 0
            assert values[t, k] == found.values_TK[t, best]
    result = replay(registry.parse("stops", "threshold(logprob, tau=0.5)"), found)
    assert (result.values_T == values[np.arange(values.shape[0]), result.arrivals_T - 1]).all()


def test_features_of_a_trajectory():
    found = Trajectories(
        prompts_T=np.array([0]),
        classes_TK=np.array([[0, -1, 0]], dtype=np.int16),
        lengths_TK=np.array([[10, 20, 30]], dtype=np.float32),
        values_TK=np.ones((1, 3), dtype=np.float32),
        inputs_T=np.zeros(1, dtype=np.float32),
        scores_TK=np.array([[0.5, np.nan, 1.0]], dtype=np.float32),
    )
    assert found.features(0, 2, 40.0) == Features(
        classes=(0, None), lengths=(10, 20), scores=(0.5, None), mean_length=40.0
    )


def test_some_trajectories_are_those_alone():
    found = in_orders(arrays(), 8, num_orders=4)
    keep = np.array(Random(0).sample(range(48), 9))
    part = found.select(keep)
    assert (part.votes.value_TK == found.votes.value_TK[keep]).all()
    assert (part.tokens == found.tokens[keep]).all()
