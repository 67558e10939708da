import numpy as np
import pytest
from scipy import stats

from nbest.evaluate.confidence import tail
from nbest.evaluate.intervals import codes, group_intervals, mean_interval, resampled_clusters
from nbest.evaluate.significance import paired_difference, sign_flip_test

RNG = np.random.default_rng(11)


def test_the_interval_of_many_values_is_the_percentile_bootstrap():
    values = RNG.normal(0.2, 1, 400)
    ours = mean_interval(values, resamples=5000)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=5000, rng=1)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.01)


def test_few_values_give_the_width_of_a_t_interval():
    values = RNG.normal(0, 1, 10)
    ours = mean_interval(values, resamples=20000)
    half = stats.t.ppf(0.975, 9) * values.std(ddof=1) / np.sqrt(10)
    assert (ours.high - ours.low) / (2 * half) == pytest.approx(1, abs=0.05)


def test_a_tail_is_cut_thinner_the_fewer_units_there_are():
    assert tail(50) == pytest.approx(0.0211, abs=3e-4)
    assert tail(10**6) == pytest.approx(0.025, abs=1e-6)
    assert tail(1) == pytest.approx(0.025)


def test_one_value_or_cluster_has_no_interval():
    assert mean_interval(np.array([0.5])) == (0.5, None, None)
    assert mean_interval(np.ones(2), clusters=["a", "a"], is_share=True) == (1, None, None)


def macro(num_groups, per_group, clusters=None):
    num = num_groups * per_group
    return group_intervals(
        np.random.default_rng(0).random((num, 1)), np.ones((num, 1), dtype=bool),
        groups_P=np.repeat(np.arange(num_groups), per_group), clusters_P=np.arange(num) if clusters is None else clusters,
    ).macro[0]  # fmt: skip


@pytest.mark.parametrize("num_groups", [3, 30])
def test_groups_of_one_prompt_each_do_not_tell_how_sure_their_mean_is(num_groups):
    found = macro(num_groups, 1)
    assert 0 < found.value < 1
    assert found[1:] == (None, None)


def test_a_macro_average_has_an_interval_where_resamples_have_all_groups():
    assert macro(60, 2)[1:] == (None, None)
    few = macro(8, 2)
    assert few.low < few.value < few.high
    translated = macro(30, 2, np.tile(np.arange(2), 30))
    assert translated.low < translated.value < translated.high


def test_nothing_but_successes_gives_the_exact_binomial_bound():
    ours = mean_interval(np.ones(20), is_share=True)
    exact = stats.binomtest(20, 20).proportion_ci(method="exact")
    assert ours == pytest.approx((1, exact.low, 1))
    assert mean_interval(np.zeros(20), is_share=True) == pytest.approx((0, 0, 1 - exact.low))
    assert mean_interval(np.zeros(20)) == (0, 0, 0)


def test_copies_of_a_prompt_add_no_certainty_when_they_share_a_cluster():
    values = RNG.normal(0, 1, 60)
    once = mean_interval(values)
    copied = mean_interval(np.repeat(values, 11), clusters=np.repeat(np.arange(60), 11).tolist())
    assert copied == pytest.approx(once)
    naive = mean_interval(np.repeat(values, 11))
    assert naive.high - naive.low < 0.4 * (once.high - once.low)


def test_groups_total_and_macro_against_a_loop():
    values = RNG.normal(0, 1, 90)
    known = RNG.random(90) < 0.8
    groups = RNG.integers(3, size=90)
    clusters = codes([i % 30 for i in range(90)])
    found = group_intervals(
        values[:, None], known[:, None], groups_P=groups, clusters_P=clusters, resamples=300, seed=4
    )
    weights = np.concatenate(list(resampled_clusters(30, resamples=300, seed=4)))[:, clusters]
    means = [
        [(w * values)[known & (groups == g)].sum() / w[known & (groups == g)].sum() for g in range(3)]
        for w in weights
    ]
    cut = tail(30)
    for g in range(3):
        estimate = found.groups[g][0]
        assert estimate.value == pytest.approx(values[known & (groups == g)].mean())
        assert estimate.low == pytest.approx(
            np.quantile(
                [m[g] for m in means],
                tail(len({c for c, k, at in zip(clusters, known, groups, strict=True) if k and at == g})),
            )
        )
    macro = found.macro[0]
    assert macro.value == pytest.approx(np.mean([values[known & (groups == g)].mean() for g in range(3)]))
    assert macro.high == pytest.approx(np.quantile(np.mean(means, axis=1), 1 - cut))
    assert found.all[0].value == pytest.approx(values[known].mean())


def test_what_is_known_of_no_prompt_has_no_estimate():
    found = group_intervals(
        np.zeros((3, 1)), np.array([[True], [False], [False]]),
        groups_P=np.array([0, 1, 1]), clusters_P=np.arange(3), resamples=20,
    )  # fmt: skip
    assert found.groups[1] == [None]
    assert found.macro[0].value == 0


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no values"):
        mean_interval(np.array([]))


@pytest.mark.parametrize("num", [6, 12, 40, 300])
def test_the_sign_flip_test_is_scipys(num):
    differences = RNG.normal(0.15, 1, num)
    theirs = stats.permutation_test(
        (differences, np.zeros(num)), lambda a, b, axis: np.mean(a - b, axis=axis), vectorized=True,
        permutation_type="samples", n_resamples=9999, rng=3,
    )  # fmt: skip
    assert sign_flip_test(differences) == pytest.approx(theirs.pvalue, abs=1e-9 if num <= 12 else 0.02)


def test_differences_of_right_and_wrong_give_the_sign_test():
    differences = np.array([1.0] * 30 + [-1.0] * 14 + [0.0] * 200)
    exact = stats.binomtest(30, 44).pvalue
    assert sign_flip_test(differences, flips=99_999) == pytest.approx(exact, abs=0.003)


def test_translations_of_a_problem_flip_together():
    differences = np.repeat([1.0, 1.0, 1.0, -1.0], 11)
    clusters = np.repeat(np.arange(4), 11).tolist()
    assert sign_flip_test(differences, clusters=clusters) == pytest.approx(10 / 16)
    assert sign_flip_test(differences) < 0.01


def test_no_difference_is_no_evidence():
    assert sign_flip_test(np.zeros(9)) == 1
    assert sign_flip_test(np.array([])) == 1


@pytest.mark.parametrize("clusters", [None, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]])
def test_a_paired_difference_is_the_interval_and_the_test_of_the_same_clusters(clusters):
    ours, theirs = RNG.normal(0.5, 1, 10), RNG.normal(0, 1, 10)
    found = paired_difference(ours, theirs, clusters=clusters, seed=3, resamples=300)
    interval = mean_interval(ours - theirs, clusters=clusters, seed=3, resamples=300)
    assert (found.value, found.low, found.high) == (interval.value, interval.low, interval.high)
    assert found.p == sign_flip_test(ours - theirs, clusters=clusters, seed=3)
    other = paired_difference(ours, theirs, clusters=clusters, seed=4, resamples=300)
    assert other.low != found.low


def test_a_paired_difference_needs_pairs():
    assert paired_difference(np.array([1.0, 1, 0, 1]), np.array([0.0, 1, 0, 0])).value == 0.5
    with pytest.raises(ValueError, match="not paired"):
        paired_difference(np.zeros(2), np.zeros(3))
