"""chrF of all pairs of a pool: `nbest` beside sacrebleu, fastchrf and mbrs, in one run on one thread.

    OMP_NUM_THREADS=1 python benchmarks/chrf.py [--sizes 8 64 256 1024] [--repeats 5]

`requirements-chrf.txt` has the competitors; any of them that is not installed is left out, and said so.
Times are medians in ms. A size that takes a competitor longer than a few seconds is run once. sacrebleu has
no pairwise form: beyond 64 candidates its time is that of 2 000 random pairs, scaled (marked ~).
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Sequence
from random import Random
from statistics import median
from typing import Any

import numpy as np
from pools import BASE_BY_SCRIPT, pool

from nbest.utilities.chrf import chrf_aggregate, chrf_matrix

SAMPLED_PAIRS = 2000
COLUMNS = ["nbest", "fastchrf", "mbrs", "sacrebleu", "nbest aggregate", "fastchrf aggregate"]


def optional(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as e:  # noqa: BLE001  mbrs fails in many ways, depending on its environment
        print(f"{module} is left out: {type(e).__name__}: {e}")
        return None


def timed(function: Callable[[], object], repeats: int) -> tuple[float, Any]:
    """(median in ms, result); long runs are not repeated."""
    times: list[float] = []
    result = None
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(1000 * (time.perf_counter() - start))
        if times[0] > 2000:
            break
    return median(times), result


def sentence_scores(chrf: Any, pairs: Sequence[tuple[str, str]]) -> list[float]:
    return [chrf.sentence_score(h, [r]).score for h, r in pairs]


def measure(
    texts: list[str], repeats: int, peers: dict[str, Any]
) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds by column, and the greatest difference of scores by peer."""
    n = len(texts)
    small = repeats * (10 if n <= 64 else 1)
    ms: dict[str, float] = {}
    off: dict[str, float] = {}
    ms["nbest"], ours = timed(lambda: chrf_matrix(texts), small)
    ms["nbest aggregate"], mean = timed(lambda: chrf_aggregate(texts, texts), small)
    if fast := peers["fastchrf"]:
        ms["fastchrf"], theirs = timed(lambda: fast.pairwise_chrf([texts], [texts]), small)
        off["fastchrf"] = float(abs(np.array(theirs[0]) - ours).max())
        ms["fastchrf aggregate"], theirs = timed(lambda: fast.aggregate_chrf([texts], [texts]), small)
        off["fastchrf aggregate"] = float(abs(np.array(theirs[0]) - mean).max())
    if mbrs := peers["mbrs.metrics.chrf"]:
        metric = mbrs.MetricChrF(mbrs.MetricChrF.Config(fastchrf=True))
        ms["mbrs"], theirs = timed(lambda: metric.pairwise_scores(texts, texts).numpy(), small)
        off["mbrs"] = float(abs(theirs - ours).max())
    if sacrebleu := peers["sacrebleu.metrics.chrf"]:
        places = [(i, j) for i in range(n) for j in range(n)]
        if n > 64:
            places = Random(0).sample(places, SAMPLED_PAIRS)
        scores_ms, theirs = timed(
            lambda: sentence_scores(sacrebleu.CHRF(), [(texts[i], texts[j]) for i, j in places]), 1
        )
        ms["sacrebleu"] = scores_ms * n * n / len(places)
        off["sacrebleu"] = max(abs(ours[p] - s) for p, s in zip(places, theirs, strict=True))
    return ms, off


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 64, 256, 1024])
    parser.add_argument("--scripts", nargs="+", default=list(BASE_BY_SCRIPT))
    parser.add_argument("--repeats", type=int, default=5)
    a = parser.parse_args()
    peers = {m: optional(m) for m in ("fastchrf", "mbrs.metrics.chrf", "sacrebleu.metrics.chrf")}
    chrf_matrix(pool("Latin", 256))  # imports scipy
    print(f"numpy {np.__version__}\n")
    print("| script | N | " + " | ".join(COLUMNS) + " | ×fastchrf | ×mbrs | ×sacrebleu | ×aggregate |")
    print("|---|---|" + "---|" * (len(COLUMNS) + 4))
    worst: dict[str, float] = {}
    for script in a.scripts:
        for n in a.sizes:
            ms, off = measure(pool(script, n), a.repeats, peers)
            about = {"sacrebleu": "~" if n > 64 else ""}
            cells = [f"{about.get(c, '')}{ms[c]:.3g}" if c in ms else "–" for c in COLUMNS]
            ratios = [f"{ms[c] / ms['nbest']:.3g}" if c in ms else "–" for c in COLUMNS[1:4]]
            both = {"nbest aggregate", "fastchrf aggregate"} <= ms.keys()
            ratios.append(f"{ms['fastchrf aggregate'] / ms['nbest aggregate']:.3g}" if both else "–")
            print(f"| {script} | {n} | " + " | ".join(cells + ratios) + " |", flush=True)
            worst |= {k: max(v, worst.get(k, 0.0)) for k, v in off.items()}
            assert off.get("sacrebleu", 0) <= 1e-9, "not sacrebleu's chrF"
    print("\nGreatest difference of scores: " + ", ".join(f"{k} {v:.2g}" for k, v in worst.items()))


if __name__ == "__main__":
    main()
