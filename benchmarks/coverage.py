"""How often 95 % intervals hold the truth, and how often the paired test cries wolf, by simulation.

    python benchmarks/coverage.py

N prompts; paired scores of two methods whose true difference is known. `binary`: right or wrong, accuracies .60 and
.68, correlated. `rare`: .04 and .07. `continuous`: skewed (log-normal) with a common part per prompt. `clustered`:
binary, problems with 5 translations each that stand together (N counts prompts, N/5 clusters), analysed by cluster,
and for comparison as if each prompt stood alone. The test is run where the true difference is 0.
"""

import argparse

import numpy as np

from nbest.evaluate.intervals import mean_interval
from nbest.evaluate.significance import sign_flip_test

TRANSLATIONS = 5


def normal_cdf(x):
    from scipy.special import ndtr

    return ndtr(x)


def binary(rng, n, p, q):
    """Right or wrong of two methods; a common normal per prompt correlates them."""
    common = rng.normal(size=n)
    draws = [0.7 * common + np.sqrt(1 - 0.49) * rng.normal(size=n) for _ in range(2)]
    return [(normal_cdf(d) < share).astype(float) for d, share in zip(draws, (p, q), strict=True)]


def continuous(rng, n, shift):
    common = rng.normal(size=n)
    first, second = (np.exp(0.6 * common + 0.6 * rng.normal(size=n)) for _ in range(2))
    return [first, second + shift]


def clustered(rng, n, p, q):
    problems = np.repeat(rng.normal(size=(2, n // TRANSLATIONS)), TRANSLATIONS, axis=1)
    draws = [np.sqrt(0.6) * problems[i] + np.sqrt(0.4) * rng.normal(size=n) for i in range(2)]
    return [(normal_cdf(d) < share).astype(float) for d, share in zip(draws, (p, q), strict=True)]


KINDS = {
    "binary": (lambda rng, n, null: binary(rng, n, 0.6, 0.6 if null else 0.68), 0.08, False),
    "rare": (lambda rng, n, null: binary(rng, n, 0.04, 0.04 if null else 0.07), 0.03, False),
    "continuous": (lambda rng, n, null: continuous(rng, n, 0.0 if null else 0.3), 0.3, False),
    "clustered": (lambda rng, n, null: clustered(rng, n, 0.6, 0.6 if null else 0.68), 0.08, True),
    "clustered, as if not": (lambda rng, n, null: clustered(rng, n, 0.6, 0.6 if null else 0.68), 0.08, False),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    args = parser.parse_args()
    print("| scores | N | difference | mean of the first | false alarms of the test |\n|---|--:|--:|--:|--:|")
    means = {
        "binary": 0.6,
        "rare": 0.04,
        "clustered": 0.6,
        "clustered, as if not": 0.6,
        "continuous": np.exp(0.36),
    }
    for kind, (draw, truth, by_cluster) in KINDS.items():
        for n in (50, 200, 500):
            rng = np.random.default_rng(n)
            clusters = np.repeat(np.arange(n // TRANSLATIONS), TRANSLATIONS).tolist() if by_cluster else None
            held = held_mean = alarms = 0
            for run in range(args.runs):
                first, second = draw(rng, n, False)
                options = {"clusters": clusters, "seed": run, "resamples": args.resamples}
                difference = mean_interval(second - first, **options)
                held += difference.low - 1e-9 <= truth <= difference.high + 1e-9
                mean = mean_interval(first, is_share=kind != "continuous", **options)
                held_mean += mean.low - 1e-9 <= means[kind] <= mean.high + 1e-9
                first, second = draw(rng, n, True)
                alarms += sign_flip_test(second - first, clusters=clusters, seed=run, flips=999) <= 0.05
            shares = (f"{100 * x / args.runs:.1f}" for x in (held, held_mean, alarms))
            print(f"| {kind} | {n} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
