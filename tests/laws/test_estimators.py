"""Every estimator against its naive twin: all subsets, one after another, in plain Python."""

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.evaluate import estimators
from nbest.evaluate.estimators import (
    best_at_k,
    difficulty_bins,
    majority_at_k,
    max_at_k,
    num_distinct,
    pass_at_k,
)
from nbest.evaluate.significance import holm

pools = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.lists(
            st.tuples(
                *[
                    st.lists(values, min_size=n, max_size=n)
                    for values in (
                        st.sampled_from([0.0, 0.25, 1.0]),  # scores
                        st.sampled_from([-1.0, 0.5, 2.0]),  # what a verifier thinks
                        st.integers(0, 3),  # answers
                        st.booleans(),  # whether there is an answer
                    )
                ]
            ),
            min_size=1,
            max_size=5,
        ),
        st.integers(1, n),
    )
)


def columns(rows):
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def naive_best(scores, by, k):
    total = Fraction(0)
    for subset in combinations(range(len(scores)), k):
        top = [i for i in subset if by[i] == max(by[j] for j in subset)]
        total += sum(Fraction(scores[i]) for i in top) / len(top)
    return float(total / comb(len(scores), k))


def naive_majority(scores, classes, votes, k):
    n = len(scores)
    members = {c: [i for i in range(n) if votes[i] and classes[i] == c] for c in classes}
    silent = [i for i in range(n) if not votes[i]]

    def worth(ids):
        return sum(Fraction(scores[i]) for i in ids) / len(ids)

    total = Fraction(0)
    for subset in combinations(range(n), k):
        counts = {c: sum(i in subset for i in ids) for c, ids in members.items()}
        most = max(counts.values())
        top = [c for c, count in counts.items() if count == most]
        total += sum(worth(members[c]) for c in top) / len(top) if most else worth(silent)
    return float(total / comb(n, k))


@given(pools)
def test_best_at_k_is_the_mean_over_all_subsets(drawn):
    rows, k = drawn
    scores, by, _, _ = columns(rows)
    expected = [naive_best(s, b, k) for s, b in zip(scores, by, strict=True)]
    assert best_at_k(scores, by, k) == pytest.approx(expected, abs=1e-12)
    assert max_at_k(scores, k) == pytest.approx([naive_best(s, s, k) for s in scores.tolist()], abs=1e-12)


@given(pools)
def test_majority_at_k_is_the_mean_over_all_subsets(drawn):
    rows, k = drawn
    scores, _, classes, votes = columns(rows)
    expected = [
        naive_majority(*row, k) for row in zip(scores.tolist(), classes.tolist(), votes.tolist(), strict=True)
    ]
    if k < scores.shape[1] or k == 1:
        assert majority_at_k(scores, classes, k, votes_PN=votes) == pytest.approx(expected, abs=1e-12)


@given(pools)
def test_the_majority_of_the_whole_pool(drawn):
    rows, _ = drawn
    scores, _, classes, votes = columns(rows)
    n = scores.shape[1]
    expected = [
        naive_majority(*row, n) for row in zip(scores.tolist(), classes.tolist(), votes.tolist(), strict=True)
    ]
    assert majority_at_k(scores, classes, n, votes_PN=votes) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_subsampled_majorities_are_near_those_of_all_subsets(k, monkeypatch):
    """As pools are read that are too large for all their subsets: 0 to 6 of 6 draws have no answer."""
    num_silent = np.arange(7)
    votes = np.arange(6)[None, :] >= num_silent[:, None]
    scores = np.where(votes, [0.0, 1.0, 1.0, 0.0, 1.0, 1.0], 0.5)
    classes = np.tile([0, 1, 2, 0, 1, 1], (7, 1))
    exact = majority_at_k(scores, classes, k, votes_PN=votes)
    monkeypatch.setattr(estimators, "_MAX_EXACT", 0)
    monkeypatch.setattr(estimators, "_SUBSAMPLES", 4000)
    found = majority_at_k(scores, classes, k, votes_PN=votes)
    assert found == pytest.approx(exact, abs=0.03)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(9, 40)), min_size=1), st.integers(1, 9))
def test_pass_at_k_is_one_minus_a_ratio_of_binomials(counts, k):
    right, drawn = np.array(counts).T
    expected = [float(1 - Fraction(comb(n - c, k), comb(n, k))) for c, n in counts]
    assert pass_at_k(right, drawn, k) == pytest.approx(expected, abs=1e-12)


@given(pools)
def test_pass_at_k_is_max_at_k_of_zeros_and_ones(drawn):
    rows, k = drawn
    right = columns(rows)[3].astype(float)
    expected = pass_at_k(right.sum(axis=1), np.full(len(right), right.shape[1]), k)
    assert max_at_k(right, k) == pytest.approx(expected, abs=1e-12)


@given(pools, st.randoms())
def test_the_order_of_a_pool_means_nothing(drawn, random):
    rows, k = drawn
    scores, by, classes, votes = columns(rows)
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    assert best_at_k(scores, by, k) == pytest.approx(best_at_k(scores[:, order], by[:, order], k))
    assert majority_at_k(scores, classes, k, votes_PN=votes) == pytest.approx(
        majority_at_k(scores[:, order], classes[:, order], k, votes_PN=votes[:, order]), abs=1e-6
    )


@given(pools)
def test_distinct_answers_are_counted(drawn):
    rows, _ = drawn
    _, _, classes, votes = columns(rows)
    expected = [len({c for c, v in zip(*row, strict=True) if v}) for row in zip(classes, votes, strict=True)]
    assert num_distinct(classes, votes_PN=votes).tolist() == expected


@given(st.lists(st.sampled_from([0, 0.125, 0.25, 0.5, 0.75, 1]), min_size=1, max_size=60), st.integers(1, 6))
def test_equal_difficulty_shares_a_bin_and_harder_is_never_lower(pass1, num_bins):
    bins = difficulty_bins(np.array(pass1), num_bins)
    assert ((bins >= 0) & (bins < num_bins)).all()
    ranks = sorted(zip(pass1, bins.tolist(), strict=True), reverse=True)
    assert [b for _, b in ranks] == sorted(b for _, b in ranks)
    assert len(set(pass1)) == len(set(zip(pass1, bins.tolist(), strict=True)))


@given(st.lists(st.sampled_from([0, 0.125, 0.25, 0.5, 0.75, 1]), min_size=1, max_size=60), st.integers(1, 6))
def test_a_bin_is_that_of_the_mean_rank(pass1, num_bins):
    expected = []
    for own in pass1:
        num_easier, num_equal = sum(other > own for other in pass1), pass1.count(own)
        expected.append(num_bins * (2 * num_easier + num_equal) // (2 * len(pass1)))
    assert difficulty_bins(np.array(pass1), num_bins).tolist() == expected


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, alpha):
    adjusted = holm(p_values)
    rejected = set()
    for step, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] * (len(p_values) - step) > alpha:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(adjusted) if p <= alpha} == rejected
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))


@given(st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.03, 0.3, 0.4, 0.9]), max_size=6))
def test_holms_values_are_those_of_its_definition(p_values):
    m, ordered = len(p_values), sorted(p_values)
    by_rank = [min(1.0, max((m - j) * ordered[j] for j in range(i + 1))) for i in range(m)]
    assert sorted(holm(p_values)) == pytest.approx(by_rank)
    pairs = sorted(zip(p_values, holm(p_values), strict=True))
    assert [adjusted for _, adjusted in pairs] == sorted(adjusted for _, adjusted in pairs)
