"""The demonstration: real pools from the embedded model, and what each method makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from nbest import registry
from nbest.accounting.meter import total
from nbest.cli import display
from nbest.datasets import Item, Pool, read_pools, read_prompts
from nbest.evaluate.compare import compare
from nbest.evaluate.estimators import correctness, is_right, mean_interval
from nbest.records import RunWriter, read_outcomes
from nbest.report import compared
from nbest.report import report as reporting
from nbest.run import run_all, select
from nbest.session import Session
from nbest.types import Outcome

SAMPLE = "hedged(n=8)"
SELECTORS = (
    "first",
    "random",
    "likelihood",
    "mbr(utility=chrf)",
    "vote",
    "vote(weight=logprob)",
    "best(oracle)",
)


COMPARED = ("first", "mbr(utility=chrf)", "vote(weight=logprob)", "best(oracle)")
"""The selectors of the scaling curves, at 1, 2, 4 and 8 candidates."""
ORDERS = 4
"""Random pools of each size per prompt."""


def prompts(per_language: int) -> list[Item]:
    """The first problems of the packaged held-out set, the same ones in every language."""
    items = read_prompts(str(files("nbest") / "data" / "prompts" / "mini.jsonl"))
    taken: dict[str | None, int] = {}
    chosen: list[Item] = []
    for item in items:
        language = item.prompt.language
        if taken.setdefault(language, 0) < per_language:
            taken[language] += 1
            chosen.append(item)
    return chosen


SHORT = {
    "first": "greedy",
    "mbr(utility=chrf)": "mbr",
    "vote(weight=logprob)": "vote by logprob",
    "best(oracle)": "oracle",
}
"""Column titles."""


async def run(out: Path, *, per_language: int, seed: int) -> dict[str, list[Outcome]]:
    """Samples into `out`/pool, selects into `out`/<method>; both resume. Outcomes by method."""
    items = prompts(per_language)
    async with Session(
        engine="llamacpp", strategy=f"parallel(sampler={SAMPLE}, selector=likelihood)", seed=seed
    ) as session:
        config = session.config | {"prompts": per_language}
        with RunWriter(out / "pool", config) as writer, display.progress(len(items), writer) as on_outcome:
            await session.run(items, out=writer, on_outcome=on_outcome)
    recorded = {pool.prompt.id: pool for pool in read_pools(str(out / "pool"))}
    pools = [recorded[item.prompt.id] for item in items]
    oracle = registry.parse("scorers", "oracle")
    comparison = await compare(pools, COMPARED, scorer=oracle, resamples=ORDERS, seed=seed)
    compared.write(comparison, out / "compared")
    return {spec: await _choose(pools, spec, out, seed) for spec in SELECTORS}


def folder(spec: str) -> str:
    """Where the choices of a selector go."""
    return "".join(ch if ch.isalnum() else "-" for ch in spec).strip("-")


async def _choose(pools: Sequence[Pool], spec: str, out: Path, seed: int) -> list[Outcome]:
    selector = registry.parse("selectors", spec)
    path = out / folder(spec)
    with RunWriter(path, {"pools": str(out / "pool"), "select": spec, "seed": seed}) as writer:
        await run_all(pools, lambda p: select(p, selector, seed=seed), out=writer)
    by_id = {o.prompt.id: o for o in read_outcomes(path)}
    return [by_id[p.prompt.id] for p in pools]


def table(outcomes: dict[str, list[Outcome]]) -> Table:
    """Accuracy in percent by language and method."""
    right = {spec: 100 * correctness(chosen) for spec, chosen in outcomes.items()}
    languages = np.array([o.prompt.language for o in outcomes["first"]])
    shown = Table(title="right answers in %", title_justify="left", show_footer=True)
    shown.add_column("language", footer="all")
    for spec, values in right.items():
        shown.add_column(SHORT.get(spec, spec), justify="right", footer=f"{values.mean():.1f}")
    for language in dict.fromkeys(languages.tolist()):
        shown.add_row(language, *(f"{v[languages == language].mean():.0f}" for v in right.values()))
    return shown


def report(outcomes: dict[str, list[Outcome]], console: Console, out: Path) -> None:
    """The table, each method against greedy, what it cost, and where the records are."""
    console.print(table(outcomes))
    greedy = correctness(outcomes["first"])
    # The translations of a problem are one cluster: they are right or wrong together.
    problems = [str(o.gold["cluster"]) for o in outcomes["first"]]
    console.print("against greedy, paired, with 95 % interval over problems:")
    for spec, chosen in list(outcomes.items())[1:]:
        gain = mean_interval(100 * (correctness(chosen) - greedy), clusters=problems)
        console.print(f"  {spec:22} {gain.text('{:+5.1f}'.format)}")
    pools = outcomes["first"]
    drawn = np.mean([np.mean([is_right(c, o) for c in o.candidates]) for o in pools])
    spent = sum(total(o.usage).completion for o in pools)
    runs = [
        out / "pool",
        *(out / folder(spec) for spec in outcomes if spec != "likelihood"),
        out / "compared",
    ]
    page = out / "report.html"
    reporting.write(runs, out=page, title="nbest demo", baseline="first")
    console.print(
        f"{len(pools)} prompts × {len(pools[0].candidates)} candidates, {spent} tokens drawn;"
        f" one draw is right {100 * float(drawn):.1f} % of the time."
        f"\nbest(oracle) knows the answers: no method can do better."
        f"\nRecords are in {out}/. Try  nbest select {out}/pool --select vote --out {out}/mine"
        f"\nOpen the report in a browser: {page}"
    )
