"""`nbest report`: reads runs and comparisons, writes the page and whatever else is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import Progress

from nbest.accounting.price_list import costs_of
from nbest.errors import InputError, MissingExtraError
from nbest.evaluate.comparison import Comparison
from nbest.evaluate.runs import engine_names
from nbest.evaluate.scoring_engines import ScoringEngines
from nbest.report import compared
from nbest.report.figure import Figure
from nbest.report.figures import figures
from nbest.report.findings import Findings
from nbest.report.gather import gather
from nbest.report.page import page
from nbest.report.table import Table
from nbest.report.winrates import is_store, win_rate_figures

PIXELS = 2
"""Of a PNG for each unit of a drawing."""


def write(
    paths: Sequence[Path],
    *,
    out: Path | None,
    title: str = "nbest report",
    score: str | None = None,
    baseline: str | None = None,
    cluster: str | None = None,
    params: Sequence[str] = (),
    engines: ScoringEngines | None = None,
    markdown: Path | None = None,
    latex: Path | None = None,
    json: Path | None = None,
    drawings: Path | None = None,
) -> list[Path]:
    """Makes a report from run directories; the files written.

    Among `paths` may be what `nbest compare --out` and `nbest judge --out` wrote: curves and win-rates.

    `score`, `baseline` and `cluster` as in `compare`, `params` as in `costs_of`. `engines` is for a score that a
    model gives; they are closed. Raises `InputError` and `RecordsError` before
    anything is written, and `MissingExtraError` for PNGs without their renderer, after the SVGs.
    """
    comparisons_at = [p for p in paths if (p / compared.FILE).is_file()]
    stores = [p for p in paths if p not in comparisons_at and is_store(p)]
    runs = [p for p in paths if p not in comparisons_at and p not in stores]
    if not runs:
        raise InputError("a report needs a run: name the directories that nbest run and nbest select wrote")
    costs = costs_of(params, (), engines=engine_names(runs))
    comparisons = [compared.read(p) for p in comparisons_at]
    found = _gathered(runs, score=score, cluster=cluster, engines=engines or ScoringEngines())
    made = figures(found, comparisons, baseline=baseline, costs=costs)
    made[1:1] = win_rate_figures(found, stores, cluster=cluster)

    tables = [t for f in made for t in f.tables]
    written: list[Path] = []
    if out is not None:
        with _opened(out, written) as file:
            file.writelines(page(found, made, title=title, footer=_footer(paths)))
    texts = (
        (markdown, lambda: _markdown(title, tables)),
        (latex, lambda: _latex(tables)),
        (json, lambda: _json(_facts(found, made, comparisons))),
    )
    for path, text in texts:
        if path is not None:
            with _opened(path, written) as file:
                file.write(text())
    if drawings is not None:
        written += _draw(made, drawings)
    return written


def _gathered(
    runs: Sequence[Path], *, score: str | None, cluster: str | None, engines: ScoringEngines
) -> Findings:
    err = Console(stderr=True)
    with Progress(console=err, disable=not err.is_terminal, transient=True) as bar, engines:
        task = bar.add_task("reading", total=None)
        reading = gather(
            runs, score=score, cluster=cluster, engines=engines, on_outcome=lambda: bar.advance(task)
        )
        found = engines.run(reading)
    for note in found.scoring.notes:
        err.print(f"warning: {note}", style="yellow", soft_wrap=True)
    return found


def _markdown(title: str, tables: Sequence[Table]) -> str:
    return f"# {title}\n\n" + "\n\n".join(t.markdown() for t in tables) + "\n"


def _latex(tables: Sequence[Table]) -> str:
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(t.latex() for t in tables) + "\n"


def _json(facts: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(facts)).decode()


def _opened(path: Path, written: list[Path]) -> Any:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8")
    except OSError as e:
        raise InputError(f"{path} cannot be written: {e}") from None
    written.append(path)
    return file


def _footer(paths: Sequence[Path]) -> str:
    from nbest import __version__  # noqa: PLC0415 (the package imports us)

    return f"Made by nbest {__version__} from {', '.join(p.name for p in paths)}."


def _facts(found: Findings, made: Sequence[Figure], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """The tables as they are shown, and the unrounded numbers behind them."""
    return {
        "score": found.score,
        "scoring": found.scoring.usage,
        "prompts": len(found.ids),
        "runs": [
            {
                "name": r.name,
                "method": r.spec,
                "prompts": r.num_prompts,
                "failed": r.num_failed,
                "usage": r.usage,
                "seconds": round(r.seconds, 6),
                "scores": {id_: r.values[i] for i, id_ in enumerate(found.ids) if i in r.values},
            }
            for r in found.runs
        ],
        "tables": [t for f in made for t in f.tables],
        "comparisons": comparisons,
    }


def _draw(made: Sequence[Figure], folder: Path) -> list[Path]:
    """Every figure as SVG and, where the renderer is installed, as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    drawn = [(f.name, f.drawing.alone()) for f in made if f.drawing is not None]
    for name, svg in drawn:
        written.append(folder / f"{name}.svg")
        written[-1].write_text(svg, encoding="utf-8")
    render = _renderer()
    for name, svg in drawn:
        written.append(folder / f"{name}.png")
        written[-1].write_bytes(bytes(render(svg_string=svg, zoom=PIXELS)))
    return written


def _renderer() -> Any:
    try:
        return importlib.import_module("resvg_py").svg_to_bytes
    except ImportError:
        raise MissingExtraError("resvg-py (for PNG; the SVG files are written)", "report") from None
