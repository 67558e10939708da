"""`nbest export`: a run for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command


@command(
    "export",
    "nbest export runs/first --to inspect --out first.json",
    "nbest export runs/first --to wandb",
)
def export(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    to: Annotated[str, typer.Option(help="lm-eval, inspect, wandb or mlflow.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Directory, or for inspect also a .json file. Not for wandb and mlflow, which log to a server."
        ),
    ] = None,
) -> None:
    """Write a run for another tool or an experiment tracker."""
    from nbest.export.targets import export as export_run

    print("\n".join(export_run(run, to, out)))
