"""`nbest draw`: the tree of one answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command


@command("draw", "nbest draw runs/beam p0017-th --out tree.svg")
def draw(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    prompt: Annotated[
        str | None, typer.Argument(help="Id of the prompt.", show_default="the first by name")
    ] = None,
    out: Annotated[Path, typer.Option(help="The drawing: .svg, or .dot for Graphviz.")] = Path("tree.svg"),
) -> None:
    """Draw how one answer came about.

    The tree of a search, or which candidates were made from which.
    """
    from nbest.report.search_tree import draw as draw_tree

    print(draw_tree(run, prompt, out))
