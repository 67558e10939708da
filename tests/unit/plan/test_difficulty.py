"""Difficulty: features of the pilot, regression, bins, confusion."""

import numpy as np
import pytest

from nbest.plan.difficulty import (
    WEIGHT_NAMES,
    Difficulty,
    confusion,
    edges_of,
    fit_difficulty,
    numbers_of,
    pilot_features,
)
from nbest.plan.features import Features
from nbest.plan.trajectories import Trajectories


def random_trajectories(*, num=40, width=9, seed=0):
    rng = np.random.default_rng(seed)
    classes = np.full((num, width), -1, dtype=np.int16)
    for row in classes:
        number = {}
        for k, answer in enumerate(rng.integers(-1, 4, size=width)):
            if answer >= 0:
                row[k] = number.setdefault(int(answer), len(number))
    scores = rng.random((num, width)).astype(np.float32)
    scores[rng.random((num, width)) < 0.2] = np.nan
    return Trajectories(
        prompts_T=np.arange(num),
        classes_TK=classes,
        lengths_TK=rng.integers(1, 50, size=(num, width)).astype(np.float32),
        values_TK=rng.integers(0, 2, size=(num, width)).astype(np.float32),
        inputs_T=np.ones(num, dtype=np.float32),
        scores_TK=scores,
    )


@pytest.mark.parametrize("num_pilot", [1, 4, 9])
def test_features_of_arrays_are_those_of_features(num_pilot):
    trajectories = random_trajectories()
    found = pilot_features(trajectories, num_pilot, 20.0)
    for t in range(trajectories.prompts_T.size):
        numbers = numbers_of(trajectories.features(t, num_pilot, 20.0))
        assert found[t] == pytest.approx([numbers[name] for name in WEIGHT_NAMES], abs=1e-6)


def fitted(*, num_bins=5):
    rng = np.random.default_rng(1)
    features = np.zeros((600, len(WEIGHT_NAMES)))
    features[:, 0] = rng.random(600)
    languages = ["th" if t % 2 else "ar" for t in range(600)]
    score = 0.2 + 0.6 * features[:, 0] + np.where(np.array(languages) == "th", 0.1, -0.1)
    tasks = [None] * 600
    difficulty = fit_difficulty(
        features, score, languages_T=languages, tasks_T=tasks, num_bins=num_bins, prior=10.0
    )
    return difficulty, features, score, languages, tasks


def test_regression_finds_weights_and_what_languages_add():
    difficulty, features, score, languages, tasks = fitted()
    assert difficulty.weights["agreement"] == pytest.approx(0.6, abs=0.02)
    assert list(difficulty.weights) == ["agreement"]  # the others are constant
    assert difficulty.languages["th"] - difficulty.languages["ar"] == pytest.approx(0.2, abs=0.02)
    predicted = difficulty.all_predicted(features, languages, tasks)
    assert np.abs(predicted - score).mean() < 0.01
    assert difficulty.shares == pytest.approx([0.2] * 5, abs=0.01)


def test_one_prompt_is_predicted_as_many_are():
    difficulty, features, _, languages, tasks = fitted()
    one = Features(classes=(0, 0, 0, 1), lengths=(5, 5, 5, 5), mean_length=5.0, language="th-TH")
    row = np.zeros((1, len(WEIGHT_NAMES)))
    row[0, 0] = 0.75
    assert difficulty.predicted(one) == pytest.approx(difficulty.all_predicted(row, ["th"], [None])[0])
    predicted = difficulty.all_predicted(features, languages, tasks)
    bins = difficulty.bins(predicted)
    assert [difficulty.bin_of(float(p)) for p in predicted] == bins.tolist()
    assert predicted[bins == 1].min() >= predicted[bins == 2].max()  # bin 1 is the easiest


def test_an_unknown_language_adds_nothing():
    difficulty, *_ = fitted()
    known = Features(classes=(0,), language="ko")
    assert difficulty.predicted(known) == pytest.approx(difficulty.predicted(Features(classes=(0,))))


def test_equal_predictions_give_fewer_bins():
    assert edges_of(np.array([1.0] * 80 + [0.5] * 10 + [0.0] * 10), 5) == (1.0,)
    assert edges_of(np.array([0.3] * 50), 5) == ()
    assert Difficulty(edges=()).bin_of(0.4) == 1


def test_confusion_counts_pairs():
    found = confusion(np.array([1, 1, 2, 2]), np.array([1, 2, 2, 2]), 2)
    assert found.tolist() == [[0.25, 0.25], [0.0, 0.5]]
