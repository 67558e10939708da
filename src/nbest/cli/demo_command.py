"""`nbest demo`: the embedded model in many languages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.exits import interruptible
from nbest.cli.options import Seed


@command("demo", "nbest demo --out demo --per-language 5")
def demo(
    out: Annotated[Path, typer.Option(help="Where the records go.")] = Path("demo"),
    per_language: Annotated[int, typer.Option(min=1, max=40, help="Problems in each language.")] = 20,
    seed: Seed = None,
) -> None:
    """Sample, select and compare with the embedded model.

    Pools of arithmetic problems in 13 languages, several selectors, a table and a report; no GPU, key or download.
    """
    from nbest.cli import demo_run
    from nbest.cli.display.console import out as console

    outcomes = interruptible(demo_run.run(out, per_language=per_language, seed=seed or 0), out)
    demo_run.report(outcomes, console, out)
