"""A batch's budget, given where it is worth most: against a naive twin, and without hindsight."""

from collections import Counter

import numpy as np
import pytest

from nbest.plan.allocation import allocate
from nbest.plan.posterior import top_posterior


def made(seed=0, num_prompts=12, num_draws=16):
    rng = np.random.default_rng(seed)
    sure_P = rng.random(num_prompts)
    classes = np.where(
        rng.random((num_prompts, num_draws)) < sure_P[:, None],
        0,
        rng.integers(-1, 5, size=(num_prompts, num_draws)),
    )
    return classes, rng.uniform(10, 100, size=classes.shape)


def naive(classes, lengths, pilot, total_draws, index):
    drawn = [pilot] * len(classes)
    mean = float(lengths[:, :pilot].mean())
    for _ in range(total_draws - pilot * len(classes)):
        worth = []
        for p, n in enumerate(drawn):
            counts = sorted(Counter(c for c in classes[p][:n].tolist() if c >= 0).values(), reverse=True)
            posterior = top_posterior(np.array([counts or [0]]), 0.3)
            value = posterior.regret_U[0] if index == "regret" else 1 - posterior.is_top_U[0]
            worth.append(value / ((lengths[p][:n].sum() + 2 * mean) / (n + 2)))
        open_prompts = [p for p, n in enumerate(drawn) if n < classes.shape[1]]
        drawn[max(open_prompts, key=lambda p: (round(worth[p], 12), -p))] += 1
    return drawn


@pytest.mark.parametrize("index", ["regret", "doubt"])
@pytest.mark.parametrize("seed", range(3))
def test_draws_go_where_a_naive_twin_sends_them(seed, index):
    classes, lengths = made(seed)
    found = allocate(classes, lengths, pilot=3, total_draws=80, index=index)
    assert found.num_draws_P.tolist() == naive(classes, lengths, 3, 80, index)
    assert found.num_draws_P.sum() == 80
    used = np.arange(16) < found.num_draws_P[:, None]
    assert found.tokens == pytest.approx(lengths[used].sum())


@pytest.mark.parametrize("wave", [1, 4])
def test_what_was_not_drawn_decides_nothing(wave):
    classes, lengths = made()
    found = allocate(classes, lengths, pilot=2, total_draws=70, wave=wave)
    unseen = np.arange(16) >= found.num_draws_P[:, None]
    other = allocate(
        np.where(unseen, 4, classes), np.where(unseen, 1.0, lengths), pilot=2, total_draws=70, wave=wave
    )
    assert other.num_draws_P.tolist() == found.num_draws_P.tolist()


def test_a_token_budget_ends_with_the_draw_that_reaches_it():
    classes, lengths = made()
    found = allocate(classes, lengths, pilot=2, total_tokens=4000)
    assert 4000 <= found.tokens < 4100


def test_unanimous_prompts_wait_for_divided_ones():
    classes = np.zeros((4, 20), dtype=int)
    classes[2, ::2] = 1
    found = allocate(classes, np.ones(classes.shape), pilot=4, total_draws=28)
    assert found.num_draws_P.tolist() == [4, 4, 16, 4]


def test_a_budget_beyond_the_pools_takes_them_whole():
    classes, lengths = made()
    assert allocate(classes, lengths, pilot=2, total_draws=1000).num_draws_P.tolist() == [16] * 12


def test_budgets_that_cannot_be():
    classes, lengths = made()
    with pytest.raises(ValueError, match="one of total_draws and total_tokens"):
        allocate(classes, lengths, pilot=2)
    with pytest.raises(ValueError, match="at least 24"):
        allocate(classes, lengths, pilot=2, total_draws=20)
    with pytest.raises(ValueError, match="between 1 and the 16"):
        allocate(classes, lengths, pilot=17, total_draws=900)
