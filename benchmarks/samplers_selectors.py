"""Every sampler × selector on the embedded model: accuracy, hope, risk and cost in 13 languages.

    python benchmarks/samplers_selectors.py --out runs/table --docs docs/samplers-selectors.md

Pools are drawn once for each sampler and n and recorded; selection is offline on the same pools. The run
resumes. Differences are paired, against greedy decoding, with 95 % bootstrap intervals over problems: the
translations of one problem are one cluster.
"""

import argparse
import asyncio
import contextlib
from pathlib import Path

import numpy as np

from nbest import registry
from nbest.cli.demo_run import prompts
from nbest.datasets import read_pools
from nbest.evaluate.estimators import correctness, mean_interval, scores_of_pools
from nbest.records import RunWriter
from nbest.run import run_all, select
from nbest.session import Session
from nbest.types import Usage

SAMPLERS = ("hedged", "hedged(temperature=1.0)", "iid(temperature=0.7)", "iid(temperature=1.0)", "ladder")
WRAPPED = (
    "prompts(sampler=hedged(n=5, max_tokens=160), variants=['{prompt}', '{prompt}\\n…'])",
    "translated(sampler=hedged(n=5, max_tokens=160), languages=[en])",
)
"""Samplers that change the prompt, at n=5 only: this model was never taught to follow an instruction."""
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
    "xmbr(utility=chrf)",
    "best(oracle)",
)
PAIRWISE = ("judge_pairwise(max_tokens=60)", "tournament(max_tokens=60)")
"""With --pairwise, for the first sampler at n=5 alone: a call for each pair and order."""
JUDGED = ("chops(max_tokens=100)", "fuse(max_tokens=100)")
"""The embedded model is no judge and no fusor: these show the protocol, its fallback and its cost,
for the first sampler at n=5."""
MAX_TOKENS = 160


def spec_with_n(sampler, n):
    if sampler in WRAPPED:
        return sampler
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
    recorded = {pool.prompt.id: pool for pool in read_pools(str(path))}
    return [recorded[item.prompt.id] for item in items]


async def choose(pools, spec, seed, engines=None):
    selector = registry.parse("selectors", spec)
    chosen = {}
    await run_all(
        pools,
        lambda p: select(p, selector, seed=seed, engines=engines),
        on_outcome=lambda o: chosen.update({o.prompt.id: o}),
    )
    return [chosen[p.prompt.id] for p in pools]


def percent(e):
    return e.text(lambda x: f"{100 * x:+.1f}")


def by_problem(values, items):
    """Means over the languages of one problem: translations are one cluster, not independent prompts."""
    clusters = {}
    for item, value in zip(items, values, strict=True):
        clusters.setdefault(item.gold["cluster"], []).append(value)
    return np.array([np.mean(c) for c in clusters.values()])


def cost(outcomes):
    """Mean tokens per prompt by role: input + output."""
    roles = {role for o in outcomes for role in o.usage}
    means = {
        role: [
            np.mean([getattr(o.usage.get(role, Usage()), f) for o in outcomes])
            for f in ("prompt", "completion")
        ]
        for role in sorted(roles)
    }
    return ", ".join(f"{role} {read:.0f} + {drawn:.0f}" for role, (read, drawn) in means.items())


def section(title, pools, by_selector, greedy, items):
    scores = scores_of_pools(pools)
    languages = np.array([i.prompt.language for i in items])
    codes = list(dict.fromkeys(languages.tolist()))
    single = np.mean([s.mean() for s in scores])
    best = by_problem(np.array([s.max() for s in scores]) - greedy, items)
    worst = by_problem(np.array([s.min() for s in scores]) - greedy, items)
    lines = [
        "",
        f"### {title}",
        "",
        f"One sample is right {100 * single:.1f} % of the time.",
        f"Hope {percent(mean_interval(best))}, risk {percent(mean_interval(worst))}.",
        "",
        "| selector | right, % | − greedy | tokens per prompt, input + output | " + " | ".join(codes) + " |",
        "|---|--:|--:|---|" + "--:|" * len(codes),
    ]
    for spec, chosen in by_selector.items():
        right = correctness(chosen)
        gain = mean_interval(by_problem(right - greedy, items))
        cells = " | ".join(f"{100 * right[languages == c].mean():.0f}" for c in codes)
        lines.append(f"| `{spec}` | {100 * right.mean():.1f} | {percent(gain)} | {cost(chosen)} | {cells} |")
    return lines


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/table"))
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--per-language", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairwise", action="store_true")
    a = parser.parse_args()
    items = prompts(a.per_language)
    judge = {"policy": registry.parse("engines", "llamacpp(slots=4, context=8192)")}
    greedy_pools = await draw(items, "greedy", 1, a.out, a.seed)
    greedy = correctness(await choose(greedy_pools, "first", a.seed))
    interval = mean_interval(by_problem(greedy, items))
    num_languages = len({i.prompt.language for i in items})
    lines = [
        f"{a.per_language} held-out problems in each of {num_languages} languages, seed {a.seed}.",
        "Greedy decoding, right answers in %: {:.1f} [{:.1f}, {:.1f}].".format(*(100 * v for v in interval)),
    ]
    if a.pairwise:
        pools = await draw(items, SAMPLERS[0], 5, a.out, a.seed)
        chosen = {spec: await choose(pools, spec, a.seed, judge) for spec in ("first", *PAIRWISE)}
        print("\n".join(lines + section(spec_with_n(SAMPLERS[0], 5), pools, chosen, greedy, items)))
        await judge["policy"].aclose()
        return
    for n in (5, 16):
        for sampler in (*SAMPLERS, *(WRAPPED if n == 5 else ())):
            pools = await draw(items, sampler, n, a.out, a.seed)
            by_selector = {
                spec: await choose(pools, spec, a.seed, judge if spec in JUDGED else None)
                for spec in (*SELECTORS, *(JUDGED if (sampler, n) == (SAMPLERS[0], 5) else ()))
            }
            new = section(spec_with_n(sampler, n), pools, by_selector, greedy, items)
            print("\n".join(new), flush=True)
            lines += new
    await judge["policy"].aclose()
    if a.docs:
        head, begin, rest = a.docs.read_text(encoding="utf-8").partition("<!-- table -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        a.docs.write_text(head + begin + "\n".join(lines) + "\n" + end + tail, encoding="utf-8")


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
