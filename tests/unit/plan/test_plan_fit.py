"""Choices by bin and budget: the one-standard-error rule, shrinkage, held-out figures."""

import numpy as np
import pytest

from nbest.plan.difficulty import WEIGHT_NAMES
from nbest.plan.option_values import OptionTable
from nbest.plan.plan_fit import Choice, FitOptions, choices_of, choose, cross_fit, fit, single_best

CHEAP, WIDE, SEARCH = "vote(n=4)", "vote(n=16)", "beam(n=12, verifier=logprob)"


def table_of(*, num=200, num_orders=2, seed=0, languages=("th", "ar"), cluster_size=2):
    """Easy prompts are right at once, medium ones with 16 draws, hard ones by search alone; features say which."""
    rng = np.random.default_rng(seed)
    prompts = np.tile(np.arange(num), num_orders)
    kind = (prompts // cluster_size) % 3
    features = np.zeros((prompts.size, len(WEIGHT_NAMES)))
    level = np.array([0.95, 0.55, 0.15])[kind]
    features[:, 0] = level + rng.normal(0, 0.02, prompts.size)
    rates = np.array([[0.98, 0.98, 0.7], [0.5, 0.9, 0.6], [0.1, 0.12, 0.8]])[kind]
    values = (rng.random((prompts.size, 3)) < rates).astype(float)
    is_easy = kind == 0
    values[is_easy, 1] = values[is_easy, 0]  # pools nest
    return OptionTable(
        specs=(CHEAP, WIDE, SEARCH),
        values_TO=values,
        tokens_TO=np.tile([40.0, 160.0, 160.0], (prompts.size, 1)),
        answers_TO=np.tile([4.0, 16.0, 16.0], (prompts.size, 1)),
        features_TF=features,
        score_T=level,
        oracle_T=level,
        prompts_T=prompts,
        clusters_T=prompts // cluster_size,
        languages_T=tuple(languages[p % len(languages)] for p in prompts),
        tasks_T=(None,) * prompts.size,
    )


OPTIONS = FitOptions(budgets=(4.0, 16.0), num_bins=3)


def strategies(choices, budget):
    return {c.bin: c.strategy for c in choices if c.budget == budget and c.language is None}


def test_each_bin_gets_what_pays_there():
    fitted = fit(table_of(), OPTIONS)
    assert strategies(fitted.choices, 4.0) == {1: CHEAP, 2: CHEAP, 3: CHEAP}
    assert strategies(fitted.choices, 16.0) == {1: CHEAP, 2: WIDE, 3: SEARCH}


def test_the_cheapest_within_one_standard_error_of_the_best_is_taken():
    table = table_of()
    bins = np.ones(table.prompts_T.size, dtype=np.int64)
    table.values_TO[:, 0], table.values_TO[:, 1] = 0.5, 0.5
    table.values_TO[:1, 1] = 0.51  # a little better on one prompt
    table.values_TO[:, 2] = 0.0
    choice, *_ = choices_of(table, bins, FitOptions(budgets=(16.0,)))
    assert choice.strategy == CHEAP
    table.values_TO[:, 1] = 0.51  # better everywhere: no doubt is left
    choice, *_ = choices_of(table, bins, FitOptions(budgets=(16.0,)))
    assert choice.strategy == WIDE


def test_a_budget_that_nothing_fits_is_an_error():
    with pytest.raises(ValueError, match="no option costs 2 answers or less: the cheapest costs 4"):
        fit(table_of(), FitOptions(budgets=(2.0,), num_bins=3))


def test_a_language_has_a_choice_of_its_own_where_it_has_reason_enough():
    table = table_of(num=400)
    is_thai = np.array([name == "th" for name in table.languages_T])
    table.values_TO[is_thai, 2] = 1.0
    table.values_TO[~is_thai, 2] = 0.0
    bins = np.ones(is_thai.size, dtype=np.int64)
    found = choices_of(table, bins, FitOptions(budgets=(16.0,), prior=20.0))
    by_language = {c.language: c.strategy for c in found}
    assert by_language["th"] == SEARCH
    assert by_language[None] == WIDE
    # With so large a prior nothing differs from the choice for all.
    assert len(choices_of(table, bins, FitOptions(budgets=(16.0,), prior=1e6))) == 1
    assert len(choices_of(table, bins, FitOptions(budgets=(16.0,), prior=20.0, min_prompts=300))) == 1


def test_held_out_figures_are_of_the_other_folds_and_clusters_stay_together():
    table = table_of(num=300)
    crossed = cross_fit(table, OPTIONS, seed=3)
    d = 1
    assert crossed.plan.values_PD[:, d].mean() > crossed.single.values_PD[:, d].mean() + 0.1
    assert crossed.plan.tokens_PD[:, d].mean() < 160
    assert crossed.plan.tokens_PD[:, 0].tolist() == [40.0] * 300
    # Labels that follow the fold of the held-out prompts alone cannot be learned.
    rng = np.random.default_rng(5)
    noise = table_of(num=300)
    noise.values_TO[:] = rng.random(noise.values_TO.shape)
    crossed = cross_fit(noise, OPTIONS, num_folds=5)
    assert crossed.plan.values_PD.mean() == pytest.approx(0.5, abs=0.03)


def test_more_folds_than_clusters_are_an_error():
    with pytest.raises(ValueError, match="4 folds need as many clusters"):
        cross_fit(table_of(num=4), OPTIONS, num_folds=4)


def test_the_single_best_is_chosen_by_the_same_rule():
    cheap, wide = single_best(table_of(), (4.0, 16.0))
    assert cheap.strategy == CHEAP
    assert wide.strategy in {WIDE, SEARCH}


def choice(strategy, language=None, task=None):
    return Choice(
        budget=8.0, bin=1, strategy=strategy, value=0.5, cost=4.0, num_prompts=9, language=language, task=task
    )


@pytest.mark.parametrize(
    ("language", "task", "wanted"),
    [
        ("pt-BR", "sums", "both"),
        ("pt", "tales", "language"),
        ("ko", "sums", "task"),
        ("ko", None, "all"),
        (None, None, "all"),
    ],
)
def test_the_chain_is_language_and_task_language_task_all(language, task, wanted):
    choices = [
        choice("all"),
        choice("task", task="sums"),
        choice("language", language="pt"),
        choice("both", language="pt", task="sums"),
    ]
    found, is_language, is_task = choose(choices, 8.0, 1, language, task)
    assert found.strategy == wanted
    assert is_language == (wanted in {"both", "language"})
    assert is_task == (wanted in {"both", "task"})
    assert choose(choices, 4.0, 1, language, task)[0] is None
