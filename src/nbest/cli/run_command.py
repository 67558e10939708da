"""`nbest run`: many prompts, recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.exits import FAILED_PROMPTS, interruptible
from nbest.cli.options import (
    AsJson,
    BudgetOptions,
    Concurrency,
    Config,
    EngineOptions,
    Seed,
    StrategyOptions,
    run_settings,
)


@command(
    "run",
    "nbest run prompts.jsonl --out runs/first --engine openai:http://localhost:8000/v1 --select vote",
    "nbest run 'mgsm(languages=[th, zh])' --out runs/mgsm --strategy 'vote(n=8)' --max-total-tokens 20000",
)
def run(
    prompts: Annotated[
        str,
        typer.Argument(
            help="JSONL with `prompt` or `messages` in each row; - reads standard input;"
            " or a task, such as 'mgsm(languages=[th, zh])'."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Run directory; an unfinished run is resumed.")],
    engine: EngineOptions,
    strategy: StrategyOptions,
    config: Config = None,
    seed: Seed = None,
    budget: BudgetOptions = BudgetOptions(),
    concurrency: Concurrency = None,
    as_json: AsJson = False,
) -> None:
    """Answer many prompts and record every candidate.

    Exit code 1 where a prompt has no answer.
    """
    from nbest.cli.display import run_progress, run_summary
    from nbest.records import RunWriter
    from nbest.tasks import items_of

    settings = run_settings(engine, strategy, budget, config=config, seed=seed, concurrency=concurrency)
    items = items_of(prompts)

    async def work() -> None:
        async with settings.session() as session:
            await session.check()
            with (
                RunWriter(out, session.config) as writer,
                run_progress.progress(len(items), writer) as on_outcome,
            ):
                await session.run(items, out=writer, concurrency=settings.concurrency, on_outcome=on_outcome)

    interruptible(work(), out)
    if run_summary.show_run(out, as_json=as_json):
        raise typer.Exit(FAILED_PROMPTS)
