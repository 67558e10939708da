"""Pools of several engines joined, their votes, and `nbest fit mixture`."""

import asyncio
import json
from collections import Counter

import numpy as np
import pytest

from commandline import nbest
from nbest.datasets import Pool
from nbest.errors import InputError
from nbest.evaluate.joined_pools import JoinedPools, join
from nbest.evaluate.mixture_learning import chosen_places, learn_mixture, majority_votes
from nbest.scoring.oracle import Oracle
from nbest.types import Candidate, Usage
from scripted import prompt_of


def pool(id_, texts, *, answer="42", tokens=10, question="多少？"):
    from nbest.types import replace

    candidates = tuple(
        Candidate(id=i, text=text, usage=Usage(completion=tokens)) for i, text in enumerate(texts)
    )
    return Pool(replace(prompt_of(question), id=id_), {"answer": answer}, candidates)


def test_answers_of_two_engines_are_in_the_same_classes_in_any_script():
    a = [pool("p", ["答案是四十二。", "41"]), pool("only-a", ["1", "2"])]
    b = [pool("p", ["答案是４２。", "答案是41。"], tokens=30)]
    joined = asyncio.run(join([a, b], Oracle()))
    assert joined.classes_PEM.tolist() == [[[0, 1], [0, 1]]]
    assert joined.values_PEM.tolist() == [[[1, 0], [1, 0]]]
    assert joined.lengths_PEM.tolist() == [[[10, 10], [30, 30]]]


def test_what_cannot_be_joined():
    with pytest.raises(InputError, match="no prompt in common"):
        asyncio.run(join([[pool("p", ["1"])], [pool("q", ["1"])]], Oracle()))
    with pytest.raises(InputError, match="`n` is 3, but the smallest pool of a common prompt has 2"):
        asyncio.run(join([[pool("p", ["1"] * 4)], [pool("p", ["1"] * 2)]], Oracle(), num_draws=3))


def test_the_majority_is_the_commonest_class_and_of_equals_the_first():
    rng = np.random.default_rng(0)
    classes = rng.integers(-1, 4, size=(300, 7))
    for row, place in zip(classes, chosen_places(classes), strict=True):
        counts = Counter(c for c in row.tolist() if c >= 0)
        winner = max(counts, key=lambda c: (counts[c], -row.tolist().index(c)), default=None)
        assert place == (0 if winner is None else row.tolist().index(winner))


def made(seed=0, num_prompts=40, num_draws=12):
    """Engine a knows the even prompts, engine b all of them less surely but for 4."""
    rng = np.random.default_rng(seed)
    chance_PE = np.full((num_prompts, 2), 0.8)
    chance_PE[1::2, 0] = 0.1
    chance_PE[::10, 1] = 0.1
    is_right = rng.random((num_prompts, 2, num_draws)) < chance_PE[:, :, None]
    classes = np.where(is_right, 0, rng.integers(1, 4, size=is_right.shape))
    lengths = np.full(classes.shape, 100.0)
    lengths[:, 0] = 10
    return JoinedPools(classes, is_right.astype(float), lengths, [f"c{p}" for p in range(num_prompts)], 0)


def test_one_draw_of_one_engine_costs_and_scores_its_mean():
    pools = made()
    votes = majority_votes(pools, np.array([1.0, 0.0]), 1, prices_E=np.array([2.0, 7.0]))
    assert votes.costs_P == pytest.approx(20)
    assert votes.values_P.mean() == pytest.approx(pools.values_PEM[:, 0].mean(), abs=0.05)
    both = majority_votes(pools, np.array([0.5, 0.5]), 4, prices_E=np.array([1.0, 1.0]))
    assert both.costs_P == pytest.approx(220)
    with pytest.raises(ValueError, match="more draws of an engine than were recorded"):
        majority_votes(pools, np.array([1.0, 0.0]), 13, prices_E=np.ones(2))


def test_held_out_figures_and_the_spec():
    result = learn_mixture(made(), ["a", "b"], sizes=(1, 8, 16))
    assert [row.n for row in result.held_out] == [1, 8]
    row = result.held_out[1]
    assert row.difference.value == pytest.approx(row.mixture.value - row.single.value)
    assert row.difference.low <= row.difference.value <= row.difference.high
    assert row.single_cost == pytest.approx(800)
    assert len(result.fold_weights) == 2
    assert result.spec.startswith("mixture(engines=[a, b], weights=[0.")
    with pytest.raises(InputError, match="at least 4 clusters"):
        learn_mixture(made().select(np.arange(3)), ["a", "b"])


def write(path, pools):
    rows = [
        {
            "id": p.prompt.id,
            "prompt": p.prompt.text,
            "answer": p.gold["answer"],
            "candidates": [
                {"text": c.text, "usage": {"completion": c.usage.completion}} for c in p.candidates
            ],
        }
        for p in pools
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_command(tmp_path):
    for name, tokens in (("a", 10), ("b", 20)):
        texts = ["42", "42", "7"]
        write(tmp_path / f"{name}.jsonl", [pool(f"p{i}", texts, tokens=tokens) for i in range(8)])
    paths = [str(tmp_path / f"{name}.jsonl") for name in "ab"]
    found = json.loads(nbest("fit", "mixture", *paths, "--json").stdout)
    assert found["num_right"] == found["num_prompts"] == 8
    assert found["engines"] == ["a", "b"]
    assert sum(found["weights"]) == pytest.approx(1)
    shown = nbest("fit", "mixture", *paths).stdout
    assert "mixture(engines=[a, b], weights=[" in shown
    named = [f"same={path}" for path in paths]
    assert "two engines are called the same" in nbest("fit", "mixture", *named).stderr
    assert "once for each of the 2 engines" in nbest("fit", "mixture", *paths, "--price", "1").stderr
