"""A batch of AIME, GPQA and MATH-500: the same tokens for the whole batch, dealt online, against the same n for each problem.

python benchmarks/allocation.py ../shared/data/reasoning_pools --cache build/joined.pickle

`--cache` is the file of benchmarks/mixture.py. The allocation sees only what was drawn.
"""

import argparse
from pathlib import Path

import numpy as np
from mixture import MODELS, joined, points

from nbest.evaluate.mixture_learning import chosen_places
from nbest.plan.allocation import allocate

SIZES = (4, 6, 8, 12, 16)
NUM_ORDERS = 4


def values_of(classes_PN, values_PN, num_draws_P):
    """Score of the majority of the first draws of each problem."""
    is_drawn = np.arange(classes_PN.shape[1]) < num_draws_P[:, None]
    chosen = chosen_places(np.where(is_drawn, classes_PN, -1))
    return values_PN[np.arange(chosen.size), chosen]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    pools = joined(args.folder, args.cache)
    print(
        "| model | n for each | pilot | accuracy at n (%) | regret: difference | tokens | doubt: difference | tokens |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for e, model in enumerate(MODELS):
        for n in SIZES:
            pilot = max(2, n // 2)
            uniform = np.zeros(len(pools.clusters))
            found = {index: np.zeros(len(pools.clusters)) for index in ("regret", "doubt")}
            ratios = {index: [] for index in found}
            for order in range(NUM_ORDERS):
                rng = np.random.default_rng(order)
                at = rng.random(pools.classes_PEM[:, e].shape).argsort(axis=1)
                rows = np.arange(at.shape[0])[:, None]
                arrays = [x[:, e][rows, at] for x in (pools.classes_PEM, pools.values_PEM, pools.lengths_PEM)]
                classes, values, lengths = arrays
                uniform += values_of(classes, values, np.full(at.shape[0], n)) / NUM_ORDERS
                total = float(lengths[:, :n].sum(dtype=float))
                for index in found:
                    # 8 at a time: the last wave is cut where the tokens are used up.
                    dealt = allocate(classes, lengths, pilot=pilot, total_tokens=total, index=index, wave=8)
                    found[index] += values_of(classes, values, dealt.num_draws_P) / NUM_ORDERS
                    ratios[index].append(dealt.tokens / total)
            cells = [f"{points(found[index] - uniform)} | {np.mean(ratios[index]):.4f}" for index in found]
            print(
                f"| {model} | {n} | {pilot} | {100 * uniform.mean():.2f} | {' | '.join(cells)} |", flush=True
            )


if __name__ == "__main__":
    main()
