"""`nbest fit stop`: held-out figures, λ by a budget or a target."""

import json
from random import Random

import numpy as np
import pytest
from typer.testing import CliRunner

from nbest.cli.main import app
from nbest.errors import InputError
from nbest.evaluate.pool_arrays import RecordedPools
from nbest.evaluate.stop_learning import StopTarget, learn_stop
from nbest.plan.stop_file import read_stop
from nbest.plan.trajectories import PoolArrays


def recorded(num=60, size=16, seed=0, scale=100.0):
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.1, 0.95, num)
    right = rng.random((num, size)) < share[:, None]
    classes = np.where(right, 0, rng.integers(1, 6, (num, size))).astype(np.int16)
    lengths = rng.uniform(0.5, 1.5, (num, size)) * (2 - share[:, None]) * scale
    arrays = PoolArrays(
        classes_PN=classes,
        lengths_PN=lengths.astype(np.float32),
        values_PN=(classes == 0).astype(np.float32),
        inputs_P=np.zeros(num, dtype=np.float32),
        sizes_P=np.full(num, size),
        is_greedy_PN=np.zeros(classes.shape, dtype=np.bool_),
        tasks_P=(None,) * num,
        languages_P=("ko",) * num,
    )
    ids = [f"p{i}" for i in range(num)]
    return RecordedPools(arrays, ids=ids, clusters=ids, num_too_small=0, num_unscored=0, num_without_length=0)


@pytest.fixture(scope="module")
def fitted():
    return learn_stop([recorded()], StopTarget(tokens=400.0))


def test_a_token_budget_chooses_the_most_that_it_allows(fitted):
    [chosen] = [row for row in fitted.held_out if row.lam == fitted.lam]
    assert chosen.tokens * fitted.mean_length <= 400
    more = learn_stop([recorded()], StopTarget(tokens=800.0))
    [larger] = [row for row in more.held_out if row.lam == more.lam]
    assert more.lam < fitted.lam
    assert 400 < larger.tokens * more.mean_length <= 800


def test_a_target_chooses_the_cheapest_that_reaches_it():
    found = learn_stop([recorded()], StopTarget(score=0.66))
    [chosen] = [row for row in found.held_out if row.lam == found.lam]
    assert chosen.value >= 0.66
    with pytest.raises(InputError, match="no λ reaches `target`"):
        learn_stop([recorded()], StopTarget(score=0.99))
    with pytest.raises(InputError, match="one answer takes that many"):
        learn_stop([recorded()], StopTarget(tokens=5.0))


def test_figures_are_there_for_each_lambda_and_fall_with_it(fitted):
    lambdas = [row.lam for row in fitted.held_out]
    assert lambdas == sorted(lambdas, reverse=True)
    tokens = [row.tokens for row in fitted.held_out]
    assert tokens == sorted(tokens)
    assert all(1 <= row.fixed_n <= 16 for row in fitted.held_out)


def test_lengths_of_several_models_are_in_their_own_answers(fitted):
    twice = learn_stop([recorded(), recorded(scale=5000.0, seed=0)], StopTarget())
    assert twice.mean_length == pytest.approx((1 + 50) / 2 * fitted.mean_length, rel=0.01)
    assert twice.provenance["clusters"] == 60  # the same prompts, drawn for by two models
    assert twice.provenance["prompts"] == 120


def test_the_same_seed_is_the_same_rule(fitted):
    assert learn_stop([recorded()], StopTarget(tokens=400.0)) == fitted


def test_large_runs_are_fitted_on_a_part_of_their_prompts(monkeypatch):
    monkeypatch.setattr("nbest.evaluate.stop_learning._MAX_TRAJECTORIES", 30)
    assert learn_stop([recorded()], StopTarget()).provenance["trajectories"] == 30


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(InputError, match="at least 4 clusters"):
        learn_stop([recorded(num=3)], StopTarget())
    with pytest.raises(InputError, match="give one of"):
        StopTarget(lam=0.1, tokens=3.0)
    with pytest.raises(InputError, match="above 0"):
        StopTarget(lam=0.0)


def pool_file(path, seed=0):
    rng = Random(seed)
    rows = []
    for i in range(40):
        share = rng.random()
        texts = ["答案是四十二" if rng.random() < share else str(rng.randint(1, 5)) for _ in range(8)]
        candidates = [{"text": t, "usage": {"completion": rng.randint(5, 50), "calls": 1}} for t in texts]
        rows.append(
            {"id": str(i), "prompt": "几？", "language": "zh", "answer": "42", "candidates": candidates}
        )
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def test_the_command_writes_what_compare_and_parallel_read(tmp_path):
    pool_file(tmp_path / "a.jsonl")
    pool_file(tmp_path / "b.jsonl", seed=1)
    out = tmp_path / "stop.toml"

    def run(*arguments):
        done = CliRunner().invoke(app, list(map(str, arguments)))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.stdout

    said = run("fit", "stop", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--out", out, "--lambda", 0.01)
    assert "learned stopping" in said
    file = read_stop(str(out))
    assert (file.lam, file.num_draws) == (0.01, 8)
    assert file.provenance["pools"] == ["a.jsonl", "b.jsonl"]

    compared = json.loads(
        run("compare", tmp_path / "a.jsonl", "--stop", f"first_n(3), learned('{out}')", "--json")
    )
    assert compared["results"][1]["draws"] < 8
    strategy = f"parallel(sampler=iid(n=6), selector=vote, stop=learned('{out}'))"
    assert run("ask", "2 + 3 = ?", "--engine", "fake", "--strategy", strategy).strip()
    with pytest.raises(InputError, match="give one of"):
        run("fit", "stop", tmp_path / "a.jsonl", "--out", out, "--lambda", 0.01, "--tokens", 9)
