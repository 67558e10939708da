"""`nbest eval`: what recorded runs are worth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from nbest.cli.command import command
from nbest.cli.options import AsJson, Cluster, JudgeOptions, Params, Score, Seed, scoring_engines

if TYPE_CHECKING:
    from nbest.evaluate.runs import Measured

_LARGE: Final = 50 << 20
"""Bytes of records from which on several processes read them."""
_MAX_PROCESSES: Final = 8


@command(
    "eval",
    "nbest eval runs/first runs/mbr",
    "nbest eval runs/mgsm --task mgsm --by difficulty --price 0.15/0.6 --params 8e9",
    "nbest eval runs/first --score judge --engine openai:http://localhost:8001/v1",
)
def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(help="Run directories; the others are compared with the first.")
    ],
    by: Annotated[
        Literal["language", "task", "difficulty"],
        typer.Option(help="Rows of the table; difficulty: five bins by the first run's pass@1."),
    ] = "language",
    score: Score = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Task that says how answers are measured, and has the gold answers that runs lack."
        ),
    ] = None,
    cluster: Cluster = None,
    params: Params = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            help="Price per million tokens, input/output, such as 0.15/0.6. Again as ROLE=… or ENGINE=…, such as judge=2/8."
        ),
    ] = None,
    attention: Annotated[
        bool,
        typer.Option(
            "--attention", help="Count attention over the context in FLOPs, where --params is a file."
        ),
    ] = False,
    seed: Seed = None,
    engine: JudgeOptions = JudgeOptions(),
    as_json: AsJson = False,
) -> None:
    """Measure recorded runs and how sure the differences are.

    Accuracy, pass@k, hope, risk, language confusion and cost, with confidence intervals. No model is asked, but for
    a score that is a judge's, which needs --engine.
    """
    from rich.console import Console

    from nbest import registry
    from nbest.accounting.price_list import costs_of
    from nbest.cli.display.console import print_json
    from nbest.evaluate.runs import engine_names, measured
    from nbest.evaluate.summary import evaluate as evaluate_runs
    from nbest.evaluate.tables import PLAIN_WIDTH, show

    costs = costs_of(params or [], price or [], engines=engine_names(runs), with_attention=attention)
    items = registry.parse("tasks", task) if task else None
    gold_by_id = None
    if items is not None:
        gold_by_id = {prompt.id: gold for prompt, gold in items.items()}
        score = score or items.score

    found: list[Measured] = []
    progress = Console(stderr=True, highlight=False).status("reading")
    with progress as status, scoring_engines(engine) as engines:
        for run in runs:
            status.update(f"reading {run}")
            one = measured(
                run,
                scorer=score,
                costs=costs,
                cluster=cluster,
                gold_by_id=gold_by_id,
                engines=engines,
                processes=_num_processes(run),
            )
            found.append(one)
        status.update("resampling")
        evaluation = evaluate_runs(found, by=by, seed=seed or 0)

    if as_json:
        print_json(evaluation)
        return
    console = Console(highlight=False)
    show(evaluation, console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH))


def _num_processes(run: Path) -> int:
    """One for what is read within seconds, else as many as this process may use."""
    size = sum(shard.stat().st_size for shard in run.glob("outcomes-*.jsonl"))
    if size < _LARGE:
        return 1
    # Not every system has affinities.
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cpus, _MAX_PROCESSES)
