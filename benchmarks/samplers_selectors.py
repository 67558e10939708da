"""Every sampler × selector on the embedded model: accuracy, hope, risk and cost in 13 languages.

    python benchmarks/samplers_selectors.py --out runs/table --docs docs/samplers-selectors.md

Pools are drawn once for each sampler and n and recorded; selection is offline on the same pools. The run
resumes. Differences are paired by prompt, against greedy decoding, with 95 % bootstrap intervals.
"""

import argparse
import asyncio
import contextlib
from pathlib import Path

import numpy as np

from nbest import registry
from nbest.demo import prompts
from nbest.evaluate.estimators import correctness, hope, mean_interval, risk, scores_of_pools
from nbest.meter import total
from nbest.pools import read_pools
from nbest.records import RunWriter
from nbest.run import run_all, select
from nbest.session import Session

SAMPLERS = ("hedged", "hedged(temperature=1.0)", "iid(temperature=0.7)", "iid(temperature=1.0)", "ladder")
SELECTORS = (
    "first",
    "random",
    "likelihood",
    "likelihood(normalise=none)",
    "best(self_certainty)",
    "best(deep_conf)",
    "mbr(utility=chrf)",
    "mbr(utility=chrf, mode=aggregate)",
    "mbr(utility=chrf, mode=pruned)",
    "mbr(utility=bleu)",
    "mbr(utility=token_f1)",
    "mbr(utility=edit)",
    "vote",
    "vote(weight=logprob)",
    "vote(weight=self_certainty)",
    "guard(selector=vote)",
    "best(oracle)",
)
MAX_TOKENS = 160
NUM_LOGPROBS = 20


def spec_with_n(sampler, n):
    name, _, rest = sampler.partition("(")
    parameters = [p for p in rest.rstrip(")").split(", ") if p]
    return f"{name}({', '.join([f'n={n}', f'max_tokens={MAX_TOKENS}', *parameters])})"


def folder(text):
    return "".join(ch if ch.isalnum() else "-" for ch in text).strip("-")


async def draw(items, sampler, n, out, seed):
    path = out / f"{folder(sampler)}-{n}"
    sample = f"greedy(max_tokens={MAX_TOKENS})" if sampler == "greedy" else spec_with_n(sampler, n)
    # self_certainty asks for the log-probabilities that every other selector can then use offline.
    strategy = f"parallel(sampler={sample}, selector=best(self_certainty))"
    async with Session(engine="llamacpp", strategy=strategy, seed=seed) as session:
        with RunWriter(path, session.config) as writer:
            await session.run(items, out=writer)
    return list(read_pools(str(path)))


async def choose(pools, spec, seed):
    selector = registry.parse("selectors", spec)
    chosen = {}
    await run_all(
        pools, lambda p: select(p, selector, seed=seed), on_outcome=lambda o: chosen.update({o.prompt.id: o})
    )
    return [chosen[p.prompt.id] for p in pools]


def percent(e):
    return f"{100 * e.value:+.1f} [{100 * e.low:+.1f}, {100 * e.high:+.1f}]"


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/table"))
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--per-language", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    items = prompts(a.per_language)
    greedy_pools = await draw(items, "greedy", 1, a.out, a.seed)
    greedy = correctness(await choose(greedy_pools, "first", a.seed))
    languages = np.array([i.prompt.language for i in items])
    codes = list(dict.fromkeys(languages.tolist()))
    lines = [
        f"{len(items)} held-out problems, the same {a.per_language} in each of {len(codes)} languages; seed {a.seed}.",
        f"Greedy decoding is right for {100 * greedy.mean():.1f} % ("
        + ", ".join(f"{c} {100 * greedy[languages == c].mean():.0f}" for c in codes)
        + ").",
    ]
    for n in (5, 16):
        for sampler in SAMPLERS:
            pools = await draw(items, sampler, n, a.out, a.seed)
            by_selector = {}
            for spec in SELECTORS:
                by_selector[spec] = await choose(pools, spec, a.seed)
            anyone = next(iter(by_selector.values()))
            scores = scores_of_pools(anyone)
            tokens = np.mean([total(o.usage).completion for o in anyone])
            prompt_tokens = np.mean([total(o.usage).prompt for o in anyone])
            single = float(np.mean([s.mean() for s in scores]))
            lines += [
                "",
                f"### {spec_with_n(sampler, n)}",
                "",
                f"One draw is right {100 * single:.1f} % of the time; hope {percent(hope(scores, greedy))}, "
                f"risk {percent(risk(scores, greedy))}; policy tokens per prompt: {tokens:.0f} drawn, {prompt_tokens:.0f} read.",
                "",
                "| selector | accuracy | − greedy, with 95 % interval | " + " | ".join(codes) + " |",
                "|---|--:|--:|" + "--:|" * len(codes),
            ]
            for spec, chosen in by_selector.items():
                right = correctness(chosen)
                cells = " | ".join(f"{100 * right[languages == c].mean():.0f}" for c in codes)
                lines.append(
                    f"| `{spec}` | {100 * right.mean():.1f} | {percent(mean_interval(right - greedy))} | {cells} |"
                )
            print("\n".join(lines[-len(by_selector) - 4 :]), flush=True)
    if a.docs:
        head, begin, rest = a.docs.read_text(encoding="utf-8").partition("<!-- table -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        a.docs.write_text(head + begin + "\n".join(lines) + "\n" + end + tail, encoding="utf-8")


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
