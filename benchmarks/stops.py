"""Stopping rules on recorded pools of three reasoning models: published ones, and a learned one on a model it has not seen.

python benchmarks/stops.py ../shared/data/reasoning_pools --cache build/stops --docs docs/stopping.md

The learned rule is fitted on the even problems of two models and tested on the odd problems of the third, each in turn. Reading the
answers (mathematics compared as such) takes some minutes a model; `--cache` keeps them.
"""

import argparse
import asyncio
import pickle
import tempfile
import time
from pathlib import Path

import numpy as np

from nbest import registry
from nbest.datasets import read_pools
from nbest.evaluate.intervals import mean_interval
from nbest.evaluate.pool_arrays import RecordedPools, read_arrays
from nbest.evaluate.stop_comparison import _Table
from nbest.evaluate.stop_learning import StopTarget, learn_stop
from nbest.plan.posterior import p_beats_second, top_posterior
from nbest.plan.stop_file import write_stop
from nbest.plan.stop_replay import replay, stop_places
from nbest.plan.trajectories import in_orders
from nbest.scoring.oracle import Oracle
from nbest.stops.learned import Learned

MODELS = ("NVIDIA-Nemotron-Nano-9B-v2", "Qwen3-30B-A3B-Thinking-2507", "gpt-oss-20b")
TASKS = ("aime2024", "aime2025", "gpqa_diamond", "math500")
NUM_DRAWS = 64
LAMBDAS = (0.03, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
PUBLISHED = (
    "first_n(8)",
    "first_n(16)",
    "first_n(64)",
    "adaptive_consistency(0.8)",
    "adaptive_consistency(0.95)",
    "bayes_factor(10)",
    "bayes_factor(100)",
    "esc(5)",
    "sprt(0.05)",
    "e_process(0.05)",
)
HEADING = "## Measured"


def recorded(model, folder, cache):
    """All pools of a model."""
    kept = cache / f"{model}.pickle" if cache else None
    if kept and kept.exists():
        return pickle.loads(kept.read_bytes())
    files = [folder / f"{task}_{model}.jsonl" for task in TASKS]
    pools = (pool for file in files for pool in read_pools(str(file)))
    found = asyncio.run(read_arrays(pools, Oracle(), num_draws=NUM_DRAWS))
    if kept:
        cache.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(found))
    return found


def part(pools, remainder):
    """Every second problem."""
    a = pools.arrays
    arrays = type(a)(
        **{name: getattr(a, name)[remainder::2] for name in a.__dataclass_fields__ if name != "scores_PN"}
    )
    return RecordedPools(arrays, pools.clusters[remainder::2], 0, 0, 0)


def trajectories_of(pools, *, num_orders, seed):
    """Lengths in mean answers."""
    found = in_orders(pools.arrays, NUM_DRAWS, num_orders=num_orders, seed=seed)
    found.lengths_TK[:] /= np.float32(pools.arrays.mean_length)
    return found


def first_true(stops_TK):
    stops_TK = stops_TK.copy()
    stops_TK[:, -1] = True
    return stops_TK.argmax(axis=1)


def places_by_rule(found):
    """Where published rules end, for many parameters; by (rule, parameter)."""
    votes = found.votes
    counts = votes.counts_UC
    first, second, distinct = counts[:, 0], counts[:, 1], (counts > 0).sum(axis=1)
    num = np.maximum(1, counts.sum(axis=1))
    has_vote = first > 0
    places = {("first_n", n): np.full(found.prompts_T.size, n - 1) for n in range(1, NUM_DRAWS + 1)}

    beats = np.where(has_vote, p_beats_second(first, second), 0.0)
    for p in (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999):
        places["adaptive_consistency", p] = first_true((beats >= p)[votes.at_TK])
    top = np.minimum(top_posterior(counts, 0.3).is_top_U, 1 - 1e-15)
    odds = np.where(has_vote, distinct * top / (1 - top), 0.0)
    for b in (0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000):
        places["bayes_factor", b] = first_true((odds >= b)[votes.at_TK])
    bound = np.maximum(1, distinct - 1) * np.exp(-num * ((first - second) / num) ** 2 / 2)
    bound = np.where(has_vote, bound, 9.0)
    for error in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01):
        places["e_process", error] = first_true((bound <= error)[votes.at_TK])
    for window in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16):
        rule = registry.parse("stops", f"esc({window})")
        places["esc", window] = first_true(rule.stops_on(found, None))
    for error in (0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01):
        rule = registry.parse("stops", f"sprt({error})")
        stops = np.array([rule(features) for features in votes.each()])
        places["sprt", error] = first_true(stops[votes.at_TK])
    return places


class Ends:
    """Scores and tokens where trajectories end, by prompt."""

    def __init__(self, at, found):
        rows = np.arange(at.size)
        counts = np.bincount(found.prompts_T)
        self.score = np.bincount(found.prompts_T, found.votes.value_TK[rows, at].astype(float)) / counts
        self.tokens = np.bincount(found.prompts_T, found.tokens[rows, at]) / counts

    def net(self, lam):
        return self.score - lam * self.tokens


def best(ends, lam, *, is_fixed):
    """The rule with the highest net value: fixed numbers, or published rules."""
    return max(
        (key for key in ends if (key[0] == "first_n") == is_fixed), key=lambda key: ends[key].net(lam).mean()
    )


def published_table(pools_by_model):
    lines = [
        "| model | rule | accuracy (%) | draws | mean answers | cheapest n as good | ratio |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for model, pools in pools_by_model.items():
        found = trajectories_of(pools, num_orders=5, seed=0)
        table = _Table(found, pools, seed=0, is_share=True)
        for spec in PUBLISHED:
            rule = registry.parse("stops", spec)
            r = table.result(spec, rule, replay(rule, found, 1.0))
            n = str(r.fixed.n) if r.fixed.is_as_good else f"none (best: {r.fixed.n})"
            accuracy = r.value.text(lambda v: f"{100 * v:.1f}")
            ratio = r.token_ratio.text(lambda v: f"{v:.2f}")
            lines.append(
                f"| {model} | `{spec}` | {accuracy} | {r.draws:.1f} | {r.output_tokens:.1f} | {n} | {ratio} |"
            )
    return lines


def points(difference):
    return mean_interval(difference).text(lambda v: f"{100 * v:+.2f}".replace("-", "−"))


def learned_tables(pools_by_model, folder):
    nets = [
        "| tested on | λ | best n | best published | learned: accuracy, mean answers | − best n | − best published | − published, fitted |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    costs = [
        "| tested on | λ | accuracy (%) | mean answers | over cheapest n | over cheapest published rule |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    ratios_n, ratios_rule, tally, seconds = [], [], [], []
    for model, pools in pools_by_model.items():
        fitting = [part(p, 0) for name, p in pools_by_model.items() if name != model]
        began = time.perf_counter()
        fitted = learn_stop(fitting, StopTarget(), num_draws=NUM_DRAWS)
        seconds.append(time.perf_counter() - began)
        file = folder / f"{model}.toml"
        write_stop(fitted, file)

        on_fitting = []
        for each in fitting:
            seen = trajectories_of(each, num_orders=8, seed=5)
            on_fitting.append({key: Ends(at, seen) for key, at in places_by_rule(seen).items()})
        held = trajectories_of(part(pools, 1), num_orders=16, seed=2)
        ends = {key: Ends(at, held) for key, at in places_by_rule(held).items()}
        for lam in LAMBDAS:
            learned = Ends(stop_places(Learned(file=str(file), lam=lam), held, 1.0), held)
            n, rule = best(ends, lam, is_fixed=True), best(ends, lam, is_fixed=False)
            chosen = max(
                (key for key in ends if key[0] != "first_n"),
                key=lambda key: sum(seen[key].net(lam).mean() for seen in on_fitting),
            )
            net = learned.net(lam)
            against = [net - ends[key].net(lam) for key in (n, rule, chosen)]
            tally.append([mean_interval(difference) for difference in against])
            score, tokens = learned.score.mean(), learned.tokens.mean()
            nets.append(
                f"| {model} | {lam} | {n[1]} | `{rule[0]}({rule[1]})` | {100 * score:.1f}, {tokens:.1f} | "
                + " | ".join(map(points, against))
                + " |"
            )
            if lam > 0.005:
                continue
            as_good = [key for key in ends if ends[key].score.mean() >= score - 1e-9]
            of_n = min((ends[key].tokens.mean() for key in as_good if key[0] == "first_n"), default=None)
            of_rule = min((ends[key].tokens.mean() for key in as_good if key[0] != "first_n"), default=None)
            shown = [f"{tokens / other:.2f}" if other else "none is as good" for other in (of_n, of_rule)]
            costs.append(f"| {model} | {lam} | {100 * score:.2f} | {tokens:.2f} | {shown[0]} | {shown[1]} |")
            if of_n:
                ratios_n.append(tokens / of_n)
            if of_rule:
                ratios_rule.append(tokens / of_rule)

    num = len(tally)
    names = (
        "the best n in hindsight",
        "the best published rule in hindsight",
        "the published rule chosen on the fitting problems",
    )
    summary = []
    for i, name in enumerate(names):
        ahead = sum(row[i].value > 0 for row in tally)
        clearly = sum(row[i].low > 0 for row in tally)
        behind = sum(row[i].high < 0 for row in tally)
        mean = 100 * np.mean([row[i].value for row in tally])
        summary.append(
            f"- against {name}: ahead at {ahead} of {num} (clearly at {clearly}, clearly behind at {behind}), {mean:+.2f} points on average.".replace(
                "-0.", "−0."
            )
        )
    summary.append(
        f"- tokens at equal accuracy, λ ≤ 0.005, averaged: {np.mean(ratios_n):.2f} of the cheapest n"
        f" ({len(ratios_n)} cases), {np.mean(ratios_rule):.2f} of the cheapest published rule with its best parameter ({len(ratios_rule)} cases)."
    )
    summary.append(f"- fitting (two models, 379 problems × 64 draws each): {max(seconds):.0f} s at most.")
    return nets, costs, summary


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--docs", type=Path, help="page whose part 'Measured' is written anew")
    args = parser.parse_args()
    pools_by_model = {model: recorded(model, args.folder, args.cache) for model in MODELS}
    with tempfile.TemporaryDirectory() as folder:
        nets, costs, summary = learned_tables(pools_by_model, Path(folder))
    text = "\n".join(
        [
            HEADING,
            "",
            (
                "Recorded draws of three open reasoning models on AIME 2024/25, GPQA-diamond and MATH-500 (758 problems, 80–100 draws; Best-of-∞, MIT), at most 64 draws in random"
                " orders, one at a time. A mean answer is the model's mean output tokens per draw."
            ),
            "",
            "```sh",
            "python benchmarks/stops.py ../shared/data/reasoning_pools --cache build/stops --docs docs/stopping.md",
            "```",
            "",
            "### Published rules",
            "",
            *published_table(pools_by_model),
            "",
            "### Learned, on a model and on problems that it has not seen",
            "",
            (
                "Fitted on the even problems of two models, tested on the odd problems of the third. Net value is accuracy − λ · mean answers; differences in points, 95 % intervals"
                " over problems, paired. *Best* is in hindsight, on the tested problems themselves, over 61 parameters of five published rules; *fitted* is the published rule"
                " and parameter that was best on the fitting problems, as a user would have to choose it."
            ),
            "",
            *summary,
            "",
            *nets,
            "",
            "Tokens at equal accuracy: the learned rule's over those of the cheapest n, and of the cheapest published rule and parameter in hindsight, that are at least as accurate.",
            "",
            *costs,
            "",
        ]
    )
    print(text)
    if args.docs:
        before = args.docs.read_text(encoding="utf-8").split(HEADING)[0].rstrip()
        args.docs.write_text(before + "\n\n" + text, encoding="utf-8")


if __name__ == "__main__":
    main()
