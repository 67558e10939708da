"""A learned rule: the same on one prompt as on arrays, its gradient, and what it learns where the truth is known."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize

from nbest.errors import InputError
from nbest.plan import stop_fit
from nbest.plan.features import Features
from nbest.plan.stop_file import HeldOut, StopFile, read_stop, write_stop
from nbest.plan.stop_fit import fit_policy
from nbest.plan.stop_policy import StopPolicy, vote_numbers
from nbest.plan.trajectories import PoolArrays, in_orders
from nbest.stops.bayes_factor import BayesFactor
from nbest.stops.learned import Learned

WEIGHTS = {
    "one": 0.2,
    "log_regret": 1.1,
    "log_draws": -0.8,
    "log_length": -0.7,
    "top_share": -0.3,
    "blank": 0.4,
}


def pools(num=60, size=20, seed=0, *, hopeless=0.3, tasks=("mgsm", "xquad")):
    """Easy prompts, and hopeless ones that are ten times as long and never agree."""
    rng = np.random.default_rng(seed)
    is_hopeless = rng.random(num) < hopeless
    share = np.where(is_hopeless, 0.08, rng.uniform(0.4, 0.95, num))
    right = rng.random((num, size)) < share[:, None]
    wrong = np.where(is_hopeless[:, None], rng.integers(1, 12, (num, size)), rng.integers(1, 3, (num, size)))
    classes = np.where(right, 0, wrong).astype(np.int16)
    lengths = rng.uniform(50, 150, (num, size)) * np.where(is_hopeless, 10, 1)[:, None]
    return PoolArrays(
        classes_PN=classes,
        lengths_PN=lengths.astype(np.float32),
        values_PN=(classes == 0).astype(np.float32),
        inputs_P=np.zeros(num, dtype=np.float32),
        sizes_P=np.full(num, size),
        is_greedy_PN=np.zeros(classes.shape, dtype=np.bool_),
        tasks_P=tuple(tasks[p % len(tasks)] for p in range(num)),
        languages_P=("sw",) * num,
    )


def relative(arrays, **how):
    found = in_orders(arrays, 16, **how)
    found.lengths_TK[:] /= np.float32(arrays.mean_length)
    return found


def test_one_prompt_and_arrays_are_decided_alike():
    arrays = pools(num=12)
    policy = StopPolicy(weights=WEIGHTS, tasks={"mgsm": 0.5}, languages={"sw": -0.2}, mean_length=100.0)
    found = in_orders(arrays, 16, num_orders=2)
    for lam in (0.05, 0.002):
        going_on = policy.all_going_on(found, lam, 80.0)
        assert 0 < going_on.mean() < 1
        for t in range(found.prompts_T.size):
            for k in range(16):
                features = found.features(t, k + 1, 80.0)
                # Features hold whole tokens.
                near = policy.goes_on(features, lam * 1.01), policy.goes_on(features, lam / 1.01)
                assert going_on[t, k] in near


def test_numbers_of_votes():
    [numbers] = vote_numbers(np.array([[3, 1]]), np.array([5]))
    assert numbers[3] == pytest.approx(math.log(5))
    assert numbers[4:].tolist() == pytest.approx([0.6, 0.2, 0.4, 0.2])
    [none] = vote_numbers(np.array([[0]]), np.array([2]))
    assert none.tolist() == pytest.approx([1, math.log(0.5), 0, math.log(2), 0, 0, 0, 1])


def test_the_gradient_is_that_of_the_value():
    found = relative(pools(num=10), num_orders=2)
    data = stop_fit._Data.of(found, stop_fit._groups(found))
    prior = np.zeros(data.numbers_KTF.shape[2])
    start = np.random.default_rng(0).normal(scale=0.3, size=prior.size)
    start[1] += 1

    def loss(weights):
        return stop_fit._loss(weights, data, (0.01, 0.001), prior, 0.7)

    numeric = optimize.approx_fprime(start, lambda w: loss(w)[0], 1e-2)
    assert loss(start)[1] == pytest.approx(numeric, abs=3e-3)


def test_a_sharp_decision_has_the_value_of_the_rule():
    found = relative(pools(num=20), num_orders=2)
    policy = StopPolicy(weights={"log_regret": 1.0, "log_draws": -1.0, "log_length": -1.0})
    data = stop_fit._Data.of(found, stop_fit._groups(found))
    weights = np.zeros(data.numbers_KTF.shape[2])
    weights[[1, 3, 8]] = 1.0, -1.0, -1.0
    lam = 0.003
    value, _ = stop_fit._value(data.numbers_KTF @ weights.astype(np.float32), data, lam, 1e-3)
    stops = ~policy.all_going_on(found, lam, 1.0)
    stops[:, -1] = True
    at = stops.argmax(axis=1)
    rows = np.arange(at.size)
    assert value == pytest.approx(
        (found.votes.value_TK[rows, at] - lam * found.tokens[rows, at]).mean(), abs=1e-3
    )


def test_it_learns_to_give_up_where_nothing_is_won():
    fitted = fit_policy(relative(pools(num=200), num_orders=4))
    test = relative(pools(num=200, seed=1), num_orders=4)
    lam = 0.002

    def net(stops):
        stops = stops.copy()
        stops[:, -1] = True
        at = stops.argmax(axis=1)
        rows = np.arange(at.size)
        return (test.votes.value_TK[rows, at] - lam * test.tokens[rows, at]).mean()

    learned = net(~fitted.all_going_on(test, lam, 1.0))
    published = [
        net(np.array([BayesFactor(b=b)(f) for f in test.votes.each()])[test.votes.at_TK])
        for b in (2, 5, 10, 30, 100)
    ]
    assert learned > max(published) + 0.005
    assert set(fitted.tasks) == {"mgsm", "xquad"}
    assert fitted.languages == {}  # one language says nothing


def a_file(**changes):
    how = {"lam": 0.002, "mean_length": 100.0, "num_draws": 16, "b": 7.0, "weights": WEIGHTS}
    return StopFile(**{**how, **changes})


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "stop.toml"
    row = HeldOut(
        lam=0.002,
        value=0.5,
        draws=2.5,
        tokens=3.0,
        fixed_n=4,
        fixed_value=0.5,
        b=7.0,
        rule_value=0.5,
        rule_tokens=4.0,
    )
    file = a_file(
        tasks={"数学": 0.25},
        provenance={"pools": ["a.jsonl"], "seed": 3},
        held_out=(row,),
    )
    write_stop(file, path)
    assert read_stop(str(path)) == file
    assert "lambda = 0.002" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lambda = ", "Invalid value"),
        ("lambda = 0.1", "missing required field"),
        ("lambda = 0.1\nmean_length = 1.0\nnum_draws = 4\nb = 3.0\nweigths = {}", "weigths"),
        ("lambda = 0.0\nmean_length = 1.0\nnum_draws = 4\nb = 3.0\nweights = {}", "must be above 0"),
        (
            "lambda = 0.1\nmean_length = 1.0\nnum_draws = 4\nb = 3.0\nweights = {log_regrets = 1.0}",
            "did you mean 'log_regret'",
        ),
        ("lambda = 'a'\nmean_length = 1.0\nnum_draws = 4\nb = 3.0\nweights = {}", r"\$.lambda"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, says):
    path = tmp_path / "stop.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_stop(str(path))
    with pytest.raises(InputError, match="nbest fit stop writes such a file"):
        read_stop(str(tmp_path / "none.toml"))


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "stop.toml"
    write_stop(a_file(), path)
    assert read_stop(str(path)).lam == 0.002
    write_stop(a_file(lam=0.5), path)
    assert read_stop(str(path)).lam == 0.5


def test_learned_asks_the_published_rule_beyond_what_it_was_fitted_for(tmp_path):
    path = str(tmp_path / "stop.toml")
    write_stop(a_file(num_draws=3), Path(path))
    rule = Learned(file=path, lam=1e-9)  # goes on for ever
    assert not rule(Features(classes=(0, 0, 0)))
    assert rule(Features(classes=(0, 0, 0, 0)))  # 4 to 0: k·P/(1−P) is above 7


def a_row(lam, b, *, is_behind):
    return HeldOut(
        lam=lam,
        value=0.5,
        draws=2.5,
        tokens=3.0,
        fixed_n=4,
        fixed_value=0.5,
        b=b,
        rule_value=0.5,
        rule_tokens=4.0,
        is_behind=is_behind,
    )


def test_the_published_rule_decides_where_it_was_better_on_held_out_prompts(tmp_path):
    path = str(tmp_path / "stop.toml")
    rows = (a_row(0.02, 3.0, is_behind=True), a_row(0.002, 9.0, is_behind=False))
    write_stop(a_file(held_out=rows, weights={"one": 99.0}), Path(path))  # the weights never stop
    agreed = Features(classes=(0,) * 6)
    assert Learned(file=path, lam=0.03)(agreed)
    assert Learned(file=path, lam=0.011)(agreed)
    assert not Learned(file=path, lam=0.001)(agreed)
    assert not Learned(file=path)(agreed)  # λ of the file is 0.002


@pytest.mark.parametrize("is_behind", [False, True])
def test_learned_on_arrays_is_learned(tmp_path, is_behind):
    path = str(tmp_path / "stop.toml")
    write_stop(a_file(num_draws=9, held_out=(a_row(0.002, 5.0, is_behind=is_behind),)), Path(path))
    arrays = pools(num=10)
    arrays.lengths_PN[:] = np.round(arrays.lengths_PN)
    found = in_orders(arrays, 16, num_orders=2)
    rule = Learned(file=path)
    stops = rule.stops_on(found, None)
    assert 0 < stops.mean() < 1
    for t in range(found.prompts_T.size):
        for k in range(16):
            assert stops[t, k] == rule(found.features(t, k + 1))


def test_lambda_trades_draws_for_the_score(tmp_path):
    path = str(tmp_path / "stop.toml")
    write_stop(a_file(), Path(path))
    found = in_orders(pools(), 16, num_orders=2)
    shares = [Learned(file=path, lam=lam).stops_on(found, None).mean() for lam in (1e-4, 1e-3, 1e-2, 1e-1)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]
    with pytest.raises(ValueError, match="lam must be above 0"):
        Learned(file=path, lam=0.0)
