"""One vote over draws of three reasoning models, with fitted weights, against the best single model.

python benchmarks/mixture.py ../shared/data/reasoning_pools --cache build/joined.pickle

Weights are fitted on the even problems and tried on the odd ones, and the other way round. Reading the answers takes some minutes; `--cache`
keeps them.
"""

import argparse
import asyncio
import pickle
import time
from pathlib import Path

import numpy as np

from nbest.datasets import read_pools
from nbest.evaluate.intervals import mean_interval
from nbest.evaluate.joined_pools import JoinedPools, join
from nbest.evaluate.mixture_learning import majority_votes
from nbest.plan.mixture_weights import fit_weights, num_right_of
from nbest.scoring.oracle import Oracle

MODELS = ("NVIDIA-Nemotron-Nano-9B-v2", "Qwen3-30B-A3B-Thinking-2507", "gpt-oss-20b")
TASKS = ("aime2024", "aime2025", "gpqa_diamond", "math500")
ACTIVE = (9.0, 3.3, 3.6)
"""Active parameters in billions: the price of an output token."""
SIZES = (1, 4, 8, 16, 32, 64)
NUM_DRAWS = 80


def joined(folder, cache):
    if cache and cache.exists():
        return JoinedPools(*pickle.loads(cache.read_bytes()))
    sources = [
        [pool for task in TASKS for pool in read_pools(str(folder / f"{task}_{model}.jsonl"))]
        for model in MODELS
    ]
    found = asyncio.run(join(sources, Oracle(), num_draws=NUM_DRAWS))
    if cache:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_bytes(pickle.dumps(tuple(found)))
    return found


def percent(values_P):
    return mean_interval(values_P).text(lambda v: f"{100 * v:.1f}")


def points(values_P):
    return mean_interval(values_P).text(lambda v: f"{100 * v:+.2f}".replace("-", "−"))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    pools = joined(args.folder, args.cache)
    prices = np.array(ACTIVE)
    num_prompts = len(pools.clusters)
    is_odd = np.arange(num_prompts) % 2 == 1
    tokens = pools.lengths_PEM.mean(axis=(0, 2), dtype=float)
    costs = tokens * prices / (tokens * prices).mean()
    alone = {n: [majority_votes(pools, one, n, prices_E=prices) for one in np.eye(3)] for n in SIZES}

    print(f"{num_prompts} problems, mean tokens", dict(zip(MODELS, tokens.round(), strict=True)))
    for lam in (0.0, 0.01, 0.03):
        mixed = {n: np.zeros((2, num_prompts)) for n in SIZES}
        single = {n: np.zeros((2, num_prompts)) for n in SIZES}
        for is_held in (is_odd, ~is_odd):
            fitting, held = pools.select(~is_held), pools.select(is_held)
            began = time.perf_counter()
            fit = fit_weights(fitting.classes_PEM, fitting.values_PEM, costs_E=costs, lam=lam)
            seconds = time.perf_counter() - began
            on_held = num_right_of(held.classes_PEM, held.values_PEM, fit.weights_E)
            of_each = [num_right_of(held.classes_PEM, held.values_PEM, one) for one in np.eye(3)]
            print(
                f"λ {lam}: weights {fit.weights_E.round(3)}, margin {fit.margin:.4f}, right {fit.num_right} of {len(fitting.clusters)};"
                f" held out, all draws: {on_held} of {len(held.clusters)}, single models {of_each}; {seconds:.1f} s"
            )
            for n in SIZES:
                nets = [
                    votes.values_P[~is_held].mean() - lam * cost
                    for votes, cost in zip(alone[n], costs, strict=True)
                ]
                best = alone[n][int(np.argmax(nets))]
                votes = majority_votes(pools, fit.weights_E, n, prices_E=prices)
                mixed[n][:, is_held] = votes.values_P[is_held], votes.costs_P[is_held]
                single[n][:, is_held] = best.values_P[is_held], best.costs_P[is_held]
        print("\n| draws | mixture (%) | best single model (%) | difference (points) | cost ratio |")
        print("|--:|--:|--:|--:|--:|")
        for n in SIZES:
            ratio = mixed[n][1].mean() / single[n][1].mean()
            difference = points(mixed[n][0] - single[n][0])
            print(f"| {n} | {percent(mixed[n][0])} | {percent(single[n][0])} | {difference} | {ratio:.2f} |")
        print()


if __name__ == "__main__":
    main()
