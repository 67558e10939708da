"""Real pools: 13 translation systems, English to German, every translation marked by professionals (MQM).

What each utility gains over the mean of the pool, with a paired bootstrap interval. The table is printed:

    pytest tests/golden/test_ted_pools.py
"""

import asyncio

import numpy as np
import pytest

from nbest import registry
from nbest.datasets import read_pools
from nbest.evaluate.estimators import mean_interval
from nbest.run import select
from shared_data import path_of

SPECS = [
    "mbr(utility=chrf)",
    "mbr(utility=chrf, mode=aggregate)",
    "mbr(utility=chrf, mode=pruned, first_references=4)",
    "mbr(utility=chrf(word_order=2))",
    "mbr(utility=bleu)",
    "mbr(utility=token_f1)",
    "mbr(utility=edit)",
    "random",
    "first",
]


@pytest.fixture(scope="module")
def pools():
    return list(read_pools(str(path_of("ted_ende_pool.jsonl"))))


async def gains(pools, spec):
    """Human score of the choice minus the mean of its pool (0 is perfect, −1 a minor error)."""
    selector = registry.parse("selectors", spec)
    chosen = [(await select(pool, selector)).selection.winner for pool in pools]
    means = [np.mean([c.meta["human"] for c in pool.candidates]) for pool in pools]
    return np.array([c.meta["human"] for c in chosen]) - means


def test_mbr_chooses_what_people_prefer(pools, capsys):
    assert len(pools) == 529
    pool_mean = np.mean([np.mean([c.meta["human"] for c in p.candidates]) for p in pools])
    pool_best = np.mean([max(c.meta["human"] for c in p.candidates) for p in pools])
    gain_by_spec = {spec: asyncio.run(gains(pools, spec)) for spec in SPECS}
    with capsys.disabled():
        print(f"\nmean of the pool {pool_mean:.3f}, best of the pool {pool_best:.3f} (MQM, higher is better)")
        print("\n| selector | human score | gain over the mean of the pool, 95 % interval |\n|---|---|---|")
        for spec, gain in gain_by_spec.items():
            estimate = mean_interval(gain)
            print(
                f"| `{spec}` | {pool_mean + estimate.value:.3f}"
                f" | {estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}] |"
            )
    for spec, gain in gain_by_spec.items():
        if spec.startswith("mbr"):
            assert mean_interval(gain).low > 0, spec
