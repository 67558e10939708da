"""The demonstration: real pools from the embedded model, and what each selector makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from nbest import registry
from nbest.accounting.meter import total
from nbest.cli.display.run_progress import progress
from nbest.datasets import Item, Pool, read_pools, read_prompts
from nbest.evaluate.compare import compare
from nbest.evaluate.estimators import correctness, is_right, mean_interval
from nbest.records import RunWriter, read_outcomes
from nbest.report import compared
from nbest.report import report as reporting
from nbest.run import run_all, select
from nbest.session import Session
from nbest.types import Outcome

SAMPLE: Final = "hedged(n=8)"
SELECTORS: Final = (
    "first",
    "random",
    "likelihood",
    "mbr(utility=chrf)",
    "vote",
    "vote(weight=logprob)",
    "best(oracle)",
)
COMPARED: Final = ("first", "mbr(utility=chrf)", "vote(weight=logprob)", "best(oracle)")
"""The selectors of the scaling curves, at 1, 2, 4 and 8 candidates."""
NUM_POOLS: Final = 4
"""Random pools of each size per prompt, for the scaling curves."""
TITLES: Final = {
    "first": "greedy",
    "mbr(utility=chrf)": "mbr",
    "vote(weight=logprob)": "vote by logprob",
    "best(oracle)": "oracle",
}
"""Column titles of selectors that are not called by their spec."""


def prompts(per_language: int) -> list[Item]:
    """The first problems of the packaged held-out set, the same ones in every language."""
    items = read_prompts(str(files("nbest") / "data" / "prompts" / "mini.jsonl"))
    num_taken: dict[str | None, int] = {}
    chosen: list[Item] = []
    for item in items:
        language = item.prompt.language
        if num_taken.get(language, 0) < per_language:
            num_taken[language] = num_taken.get(language, 0) + 1
            chosen.append(item)
    return chosen


async def run(out: Path, *, per_language: int, seed: int) -> dict[str, list[Outcome]]:
    """Samples into `out`/pool and selects into `out`/SELECTOR; both resume. Gives the outcomes by selector."""
    items = prompts(per_language)
    strategy = f"parallel(sampler={SAMPLE}, selector=likelihood)"
    async with Session(engine="llamacpp", strategy=strategy, seed=seed) as session:
        config = session.config | {"prompts": per_language}
        with RunWriter(out / "pool", config) as writer, progress(len(items), writer) as on_outcome:
            await session.run(items, out=writer, on_outcome=on_outcome)

    recorded = {pool.prompt.id: pool for pool in read_pools(str(out / "pool"))}
    pools = [recorded[item.prompt.id] for item in items]
    oracle = registry.parse("scorers", "oracle")
    comparison = await compare(pools, COMPARED, scorer=oracle, resamples=NUM_POOLS, seed=seed)
    compared.write(comparison, out / "compared")
    return {spec: await _choose(pools, spec, out, seed) for spec in SELECTORS}


def folder(spec: str) -> str:
    """The name of the directory with a selector's choices."""
    return "".join(ch if ch.isalnum() else "-" for ch in spec).strip("-")


async def _choose(pools: Sequence[Pool], spec: str, out: Path, seed: int) -> list[Outcome]:
    selector = registry.parse("selectors", spec)
    path = out / folder(spec)
    with RunWriter(path, {"pools": str(out / "pool"), "select": spec, "seed": seed}) as writer:
        await run_all(pools, lambda p: select(p, selector, seed=seed), out=writer)
    by_id = {o.prompt.id: o for o in read_outcomes(path)}
    return [by_id[p.prompt.id] for p in pools]


def table(outcomes: dict[str, list[Outcome]]) -> Table:
    """Accuracy in percent by language and selector."""
    right = {spec: 100 * correctness(chosen) for spec, chosen in outcomes.items()}
    languages = np.array([o.prompt.language for o in outcomes["first"]])

    shown = Table(title="right answers in %", title_justify="left", show_footer=True)
    shown.add_column("language", footer="all")
    for spec, values in right.items():
        shown.add_column(TITLES.get(spec, spec), justify="right", footer=f"{values.mean():.1f}")
    for language in dict.fromkeys(languages.tolist()):
        shown.add_row(language, *(f"{v[languages == language].mean():.0f}" for v in right.values()))
    return shown


def report(outcomes: dict[str, list[Outcome]], console: Console, out: Path) -> None:
    """Prints the table, each selector against greedy, and the cost; writes the report into `out`."""
    console.print(table(outcomes))

    greedy = correctness(outcomes["first"])
    # The translations of a problem are one cluster: they are right or wrong together.
    problems = [str(o.gold["cluster"]) for o in outcomes["first"]]
    console.print("against greedy, paired, with 95 % interval over problems:")
    for spec, chosen in list(outcomes.items())[1:]:
        gain = mean_interval(100 * (correctness(chosen) - greedy), clusters=problems)
        console.print(f"  {spec:22} {gain.text('{:+5.1f}'.format)}")

    pools = outcomes["first"]
    one_draw = np.mean([np.mean([is_right(c, o) for c in o.candidates]) for o in pools])
    num_tokens = sum(total(o.usage).completion for o in pools)
    page = _write_report(outcomes, out)
    console.print(
        f"{len(pools)} prompts × {len(pools[0].candidates)} candidates, {num_tokens} output tokens;"
        f" one sample is right {100 * float(one_draw):.1f} % of the time."
        f"\nbest(oracle) knows the answers: no method can do better."
        f"\nRecords are in {out}/. Try  nbest select {out}/pool --select vote --out {out}/mine"
        f"\nOpen the report in a browser: {page}"
    )


def _write_report(outcomes: dict[str, list[Outcome]], out: Path) -> Path:
    page = out / "report.html"
    # What `likelihood` chose is what the pool itself has.
    chosen = [out / folder(spec) for spec in outcomes if spec != "likelihood"]
    runs = [out / "pool", *chosen, out / "compared"]
    reporting.write(runs, out=page, title="nbest demo", baseline="first")
    return page
