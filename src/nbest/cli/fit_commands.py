"""`nbest fit …`: what recorded pools teach."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.fit_mixture_command import fit_mixture
from nbest.cli.fit_plan_commands import fit_plan, fit_show
from nbest.cli.options import AsJson, Cluster, Score, Seed
from nbest.errors import InputError


@command(
    "stop",
    "nbest fit stop runs/first --out stop.toml",
    "nbest fit stop runs/first runs/second --tokens 20000 --out stop.toml",
)
def fit_stop(
    pools: Annotated[
        list[str], typer.Argument(help="Run directories or JSONL of pools, each of one model's draws.")
    ],
    out: Annotated[Path, typer.Option(help="Where the rule goes; learned(FILE) reads it.")],
    lambda_: Annotated[
        float | None,
        typer.Option(
            "--lambda",
            help="What one mean answer must gain, in units of the score.",
            show_default="0.002",
        ),
    ] = None,
    tokens: Annotated[
        float | None, typer.Option(help="Instead: mean output tokens per prompt, at most.")
    ] = None,
    target: Annotated[float | None, typer.Option(help="Instead: mean score, at least, such as 0.87.")] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", min=2, help="Draws of a prompt, at most.", show_default="the smallest pool"),
    ] = None,
    score: Score = None,
    cluster: Cluster = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Fit a stopping rule to recorded pools, for parallel(stop=learned(FILE)).

    The figures are of prompts that it was not fitted on: two folds, translations together.
    """
    import asyncio

    from rich.progress import Progress

    from nbest import registry
    from nbest.cli.display.console import err, print_json
    from nbest.cli.display.console import out as console
    from nbest.datasets import PoolsAt
    from nbest.evaluate.pool_arrays import read_arrays
    from nbest.evaluate.scores import score_spec
    from nbest.evaluate.stop_learning import StopTarget, learn_stop
    from nbest.plan.stop_file import write_stop
    from nbest.report import stops_compared

    wanted = StopTarget(lam=lambda_, tokens=tokens, score=target)
    sources = [PoolsAt(path) for path in pools]
    first = next((pool for source in sources for pool in source), None)
    if first is None:
        raise InputError(f"{pools[0]} holds no pool")
    spec = score_spec(score, first)
    scorer = registry.parse("scorers", spec)

    with Progress(console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def advance() -> None:
            bar.advance(task)

        recorded = [
            asyncio.run(read_arrays(source, scorer, num_draws=n, cluster=cluster, on_prompt=advance))
            for source in sources
        ]
        bar.update(task, description="fitting")
        provenance = {"pools": [Path(path).name for path in pools], "score": spec}
        fitted = learn_stop(recorded, wanted, num_draws=n, seed=seed or 0, provenance=provenance)

    write_stop(fitted, out)
    if as_json:
        print_json(fitted)
        return
    console.print(stops_compared.fitted_table(fitted, spec).terminal())
    console.print(f"{out}: use it as learned('{out}')")


FIT_COMMANDS = (fit_stop, fit_mixture, fit_plan, fit_show)
