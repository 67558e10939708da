"""`nbest report`: one page from recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.options import Cluster, JudgeOptions, Params, Score, scoring_engines


@command(
    "report",
    "nbest report runs/first runs/mbr --out report.html",
    "nbest report runs/first comparison --markdown tables.md --figures figures",
)
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run directories, and those of nbest compare --out.", metavar="RUN…"),
    ],
    out: Annotated[Path | None, typer.Option(help="The page.", show_default="report.html")] = None,
    title: Annotated[str, typer.Option(help="Its heading.")] = "nbest report",
    score: Score = None,
    baseline: Annotated[
        str | None, typer.Option(help="Run to compare with.", show_default="greedy, else the first")
    ] = None,
    cluster: Cluster = None,
    params: Params = None,
    engine: JudgeOptions = JudgeOptions(),
    markdown: Annotated[Path | None, typer.Option(help="The tables as Markdown.")] = None,
    latex: Annotated[Path | None, typer.Option(help="The tables as LaTeX.")] = None,
    json: Annotated[Path | None, typer.Option(help="The numbers as JSON.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Directory for the figures as SVG and PNG.")] = None,
) -> None:
    """Make one HTML page of figures, tables and all pools.

    No model is asked, but for a score that is a judge's, which needs --engine.
    """
    from nbest.report import report as reporting

    is_page_wanted = not any((markdown, latex, json, figures))
    if out is None and is_page_wanted:
        out = Path("report.html")
    written = reporting.write(
        runs,
        out=out,
        title=title,
        score=score,
        baseline=baseline,
        cluster=cluster,
        params=params or (),
        engines=scoring_engines(engine),
        markdown=markdown,
        latex=latex,
        json=json,
        drawings=figures,
    )
    print("\n".join(map(str, written)))
