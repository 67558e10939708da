"""Win-rates of a store of verdicts, as a table and against measured cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from nbest.arena.judged_games import read_verdicts
from nbest.arena.winrate import WinRates, win_rates
from nbest.evaluate.intervals import Estimate
from nbest.records import read_manifest
from nbest.report import charts
from nbest.report.charts import Curve, Panel, Point
from nbest.report.figure import Figure
from nbest.report.findings import Findings
from nbest.report.table import Scale, Table, count

_PERCENT = Scale(factor=100.0, decimals=1, unit="%")
_EVEN = Estimate(0.5, 0.5, 0.5)


def is_store(path: Path) -> bool:
    """Whether a directory is what `nbest judge --out` writes."""
    if not (path / "manifest.json").is_file():
        return False
    config = read_manifest(path).get("config")
    return isinstance(config, dict) and "judge" in cast("dict[str, object]", config)


def win_rate_figures(found: Findings, stores: Sequence[Path], *, cluster: str | None) -> list[Figure]:
    """One figure per store: a table of all rates, drawn where the judged runs are in the report as well.

    A system is the run whose directory has its name. The baseline is the report's where it was judged.
    """
    made: list[Figure] = []
    for k, store in enumerate(stores):
        rates = win_rates(read_verdicts(store), cluster=cluster, baseline=_baseline(found, store))
        suffix = f"-{k + 1}" if k else ""
        drawing = None
        if curves := _curves(found, rates):
            drawing = charts.curves(
                [Panel("", curves)],
                title="Win-rate against cost",
                x_title="tokens per prompt, read and drawn, all roles but the judge of the games (log scale)",
                y_title=f"win-rate against {rates.baseline} (%)",
                scale=_PERCENT,
                log=True,
            )
        caption = (
            f"{count(rates.judge.num_games)} games in both orders, judged by a model; intervals over"
            f" {rates.num_clusters} {'prompts' if rates.cluster is None else 'clusters of prompts'}."
        )
        made.append(Figure(f"win-rate{suffix}", "Win-rate", caption, drawing, [_table(rates)]))
    return made


def _baseline(found: Findings, store: Path) -> str | None:
    """The first of the report's runs that was judged."""
    systems = {s for v in read_verdicts(store) for s in v.systems}
    return next((Path(r.name).name for r in found.runs if Path(r.name).name in systems), None)


def _curves(found: Findings, rates: WinRates) -> list[Curve]:
    costs = {Path(r.name).name: sum(r.tokens.values()) / r.num_prompts for r in found.runs}
    curves: list[Curve] = []
    for system in rates.systems:
        cost = costs.get(system.system, 0.0)
        rate = _EVEN if system.system == rates.baseline else system.win_rate
        if rate and cost > 0:
            tip = f"{system.system}: {_PERCENT.interval(rate)}, {count(round(cost, 1))} tokens per prompt"
            curves.append(Curve(system.system, [Point(cost, rate, tip)], is_joined=False))
    return curves if len(curves) > 1 else []


def _table(rates: WinRates) -> Table:
    others = [s for s in rates.systems if s.system != rates.baseline]
    languages = sorted({lang for s in others for lang in s.by_language})
    languages = languages if len(languages) > 1 else []
    rows = tuple(
        (
            s.system,
            count(s.num_pairs),
            *(
                _PERCENT.interval(e)
                for e in (s.win_rate, s.macro, s.bradley_terry, s.length_controlled, s.style_controlled)
            ),
            *(_PERCENT.interval(s.by_language.get(lang)) for lang in languages),
        )
        for s in others
    )
    columns = ("run", "pairs", "win-rate", "mean of languages", "Bradley–Terry", "at equal length")
    return Table(
        title=f"Win-rate against {rates.baseline} in %",
        columns=(*columns, "at equal style", *languages),
        rows=rows,
        note=" ".join(f"{note}." for note in rates.notes),
    )
