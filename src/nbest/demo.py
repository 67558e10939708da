"""The demonstration: real pools from the embedded model, and what each method makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from nbest import registry, show
from nbest.evaluate.estimators import correctness, is_right, mean_interval
from nbest.meter import total
from nbest.pools import Item, Pool, read_pools, read_prompts
from nbest.records import RunWriter, read_outcomes
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


async def run(out: Path, *, per_language: int, seed: int) -> dict[str, list[Outcome]]:
    """Samples into `out`/pool, selects into `out`/<method>; both resume. Outcomes by method."""
    items = prompts(per_language)
    async with Session(
        engine="llamacpp", strategy=f"parallel(sampler={SAMPLE}, selector=likelihood)", seed=seed
    ) as session:
        config = session.config | {"prompts": per_language}
        with RunWriter(out / "pool", config) as writer, show.progress(len(items), writer) as on_outcome:
            await session.run(items, out=writer, on_outcome=on_outcome)
    pools = list(read_pools(str(out / "pool")))
    return {spec: await _choose(pools, spec, out, seed) for spec in SELECTORS}


async def _choose(pools: Sequence[Pool], spec: str, out: Path, seed: int) -> list[Outcome]:
    selector = registry.parse("selectors", spec)
    path = out / "".join(ch if ch.isalnum() else "-" for ch in spec).strip("-")
    with RunWriter(path, {"pools": str(out / "pool"), "select": spec, "seed": seed}) as writer:
        await run_all(pools, lambda p: select(p, selector, seed=seed), out=writer)
    by_id = {o.prompt.id: o for o in read_outcomes(path)}
    return [by_id[p.prompt.id] for p in pools]


def table(outcomes: dict[str, list[Outcome]]) -> Table:
    """Accuracy by language and method, and each method's paired difference from greedy."""
    greedy = correctness(outcomes["first"])
    languages = [o.prompt.language or "" for o in outcomes["first"]]
    shown = Table(
        title="accuracy in %, and the difference from greedy with its 95 % interval", title_justify="left"
    )
    shown.add_column("method", no_wrap=True)
    for language in dict.fromkeys(languages):
        shown.add_column(language, justify="right")
    shown.add_column("all", justify="right", style="bold")
    shown.add_column("− greedy", justify="right", no_wrap=True)
    for spec, chosen in outcomes.items():
        right = correctness(chosen)
        cells = [
            f"{100 * right[[i for i, other in enumerate(languages) if other == language]].mean():.0f}"
            for language in dict.fromkeys(languages)
        ]
        gain = mean_interval(100 * (right - greedy))
        difference = "" if spec == "first" else f"{gain.value:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}]"
        shown.add_row(_title(spec), *cells, f"{100 * right.mean():.1f}", difference)
    return shown


def report(outcomes: dict[str, list[Outcome]], console: Console, out: Path) -> None:
    """The table, what it cost, and what is in the records."""
    pool = outcomes["first"]
    drawn = [float(np.mean([is_right(c, o) for c in o.candidates])) for o in pool]
    spent = sum(total(o.usage).completion for o in pool)
    console.print(table(outcomes))
    console.print(
        f"{len(pool)} prompts × {len(pool[0].candidates)} candidates, {spent} tokens; "
        f"a single draw is right {100 * float(np.mean(drawn)):.1f} % of the time.\n"
        f"Records: {out}/. Look at one pool:  head -n 1 {out}/pool/outcomes-00000.jsonl"
    )


def _title(spec: str) -> str:
    return {"first": "greedy (first)", "best(oracle)": "best(oracle), the bound"}.get(spec, spec)
