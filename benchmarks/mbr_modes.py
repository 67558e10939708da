"""Pruned and aggregate MBR beside exact MBR: same winner, utility lost, work saved.

    OMP_NUM_THREADS=1 python benchmarks/mbr_modes.py [--ted ../shared/data/ted_ende_pool.jsonl]

Utility lost is the exact expected chrF of the exact winner minus that of the mode's winner. Pairs are the
utilities asked for, as a share of all; the time is that of the whole selection, as a share of exact's. With
a utility as cheap as chrF pruning is for testing: it pays where a pair costs a model call.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pools import BASE_BY_SCRIPT, pool

from nbest.context import Context
from nbest.datasets import read_pools
from nbest.selection.mbr import Mbr
from nbest.types import Candidate, Message, Prompt
from nbest.utilities.chrf import Chrf

PROMPT = Prompt(id="p", messages=(Message(role="user", content=""),))


@dataclass(frozen=True, kw_only=True)
class Counted:
    """chrF that counts the pairs it is asked for."""

    chrf: Chrf = field(default_factory=Chrf)
    asked: list[int] = field(default_factory=list)

    async def __call__(self, hypotheses, references, ctx):
        self.asked.append(len(hypotheses) * len(references))
        return await self.chrf(hypotheses, references, ctx)

    async def aggregate(self, hypotheses, references, weights, ctx):
        self.asked.append(len(hypotheses))
        return await self.chrf.aggregate(hypotheses, references, weights, ctx)


async def choose(texts: Sequence[str], seed: int, **parameters):
    """(selection, pairs asked for, seconds)."""
    utility = Counted()
    candidates = [Candidate(id=i, text=t) for i, t in enumerate(texts)]
    ctx = Context({}, seed=seed, prompt_id="p")
    start = time.perf_counter()
    selection = await Mbr(utility=utility, **parameters)(PROMPT, candidates, ctx)
    return selection, sum(utility.asked), time.perf_counter() - start


async def compare(name: str, pools: list[list[str]], first_references: Sequence[int]) -> None:
    modes = {"aggregate": {"mode": "aggregate"}}
    modes |= {f"pruned, {f} first": {"mode": "pruned", "first_references": f} for f in first_references}
    exact = [await choose(texts, i) for i, texts in enumerate(pools)]
    for label, parameters in modes.items():
        same, lost, pairs, seconds = [], [], [], []
        for i, texts in enumerate(pools):
            selection, asked, took = await choose(texts, i, **parameters)
            best, all_pairs, exact_took = exact[i]
            same.append(selection.winner.text == best.winner.text)
            if best.scores:  # one text alone is not scored
                lost.append(best.scores[best.winner.id] - best.scores[selection.winner.id])
            pairs.append(asked / all_pairs if all_pairs else 1.0)
            seconds.append(took / exact_took)
        print(
            f"| {name} | {len(pools)} | {label} | {100 * np.mean(same):.1f} % | {np.mean(lost):.3f}"
            f" | {max(lost):.2f} | {100 * np.mean(pairs):.0f} % | {np.median(seconds):.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ted", default="../shared/data/ted_ende_pool.jsonl")
    parser.add_argument("--pools", type=int, default=20, help="of each script and size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 128, 512])
    asyncio.run(run(parser.parse_args()))


async def run(a: argparse.Namespace) -> None:
    print("| pools | number | mode | same winner | chrF lost, mean | max | pairs | time |")
    print("|---|---|---|---|---|---|---|---|")
    if os.path.exists(a.ted):  # noqa: ASYNC240, PTH110
        ted = [[c.text for c in p.candidates] for p in read_pools(a.ted)]
        await compare("TED en→de, N=13", ted, [4, 8])
    else:
        print(f"| {a.ted} is not there | | | | | | | |")
    for n in a.sizes:
        for script in BASE_BY_SCRIPT:
            pools = [pool(script, n, seed=s) for s in range(a.pools)]
            await compare(f"{script}, N={n}", pools, [16])


if __name__ == "__main__":
    main()
