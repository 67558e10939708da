"""`nbest select`: another choice from recorded pools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nbest.cli.command import command
from nbest.cli.exits import FAILED_PROMPTS, interruptible
from nbest.cli.options import AsJson, BudgetOptions, Concurrency, JudgeOptions, Pools, Seed, run_settings

if TYPE_CHECKING:
    from nbest.datasets import Pool
    from nbest.protocols import Engine
    from nbest.types import Outcome


@command(
    "select",
    'nbest select runs/first --select "mbr(utility=chrf)" --out runs/mbr',
    "nbest select runs/first --select judge_pairwise --engine openai:http://localhost:8001/v1 --out runs/judged",
)
def select(
    pools: Pools,
    select: Annotated[str, typer.Option(help="Selector, such as vote.")],
    out: Annotated[Path, typer.Option(help="Run directory for the choices.")],
    engine: JudgeOptions,
    seed: Seed = None,
    budget: BudgetOptions = BudgetOptions(),
    concurrency: Concurrency = None,
    as_json: AsJson = False,
) -> None:
    """Choose again from recorded pools.

    The model that drew them is not needed; a selector that asks a judge needs --engine.
    """
    from nbest import registry
    from nbest.cli.display import run_progress, run_summary
    from nbest.datasets import read_pools
    from nbest.records import RunWriter
    from nbest.run import run_all
    from nbest.run import select as select_from

    settings = run_settings(engine, budget, seed=seed, concurrency=concurrency)
    selector = registry.parse("selectors", select)
    engines: dict[str, Engine] = settings.engines() if engine.engine else {}
    recorded = list(read_pools(pools))
    config = {
        "pools": str(Path(pools).resolve()),
        "select": registry.spec_of(selector),
        "seed": settings.seed,
        "engine": {name: registry.spec_of(e) for name, e in engines.items()},
        "budget": settings.budget,
    }

    async def choose(pool: Pool) -> Outcome:
        return await select_from(pool, selector, seed=settings.seed, engines=engines, budget=settings.budget)

    async def work() -> None:
        try:
            with (
                RunWriter(out, config) as writer,
                run_progress.progress(len(recorded), writer) as on_outcome,
            ):
                await run_all(
                    recorded, choose, out=writer, concurrency=settings.concurrency, on_outcome=on_outcome
                )
        finally:
            for e in engines.values():
                await e.aclose()

    interruptible(work(), out)
    if run_summary.show_run(out, as_json=as_json):
        raise typer.Exit(FAILED_PROMPTS)
