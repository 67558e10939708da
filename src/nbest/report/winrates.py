"""Win-rates of a store of verdicts, as a table and against measured cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from nbest.arena.judged_games import read_verdicts
from nbest.arena.winrate import WinRates, win_rates
from nbest.evaluate.confidence import Estimate
from nbest.records import read_manifest
from nbest.report.curves import Curve, Panel, Point, curves
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
        suffix = ""
        if k:
            suffix = f"-{k + 1}"
        drawn = _curves(found, rates)
        drawing = None
        if drawn:
            drawing = curves(
                [Panel("", drawn)],
                title="Win-rate against cost",
                x_title="tokens per prompt, input and output, all roles but the judge of the games (log scale)",
                y_title=f"win-rate against {rates.baseline} (%)",
                scale=_PERCENT,
                log=True,
            )
        caption = (
            f"{count(rates.judge.num_games)} games in both orders, judged by a model; intervals over"
            f" {rates.num_clusters} {rates.units}."
        )
        made.append(Figure(f"win-rate{suffix}", "Win-rate", caption, drawing, [_table(rates)]))
    return made


def _baseline(found: Findings, store: Path) -> str | None:
    """The first of the report's runs that was judged."""
    systems = {s for v in read_verdicts(store) for s in v.systems}
    return next((Path(r.name).name for r in found.runs if Path(r.name).name in systems), None)


def _curves(found: Findings, rates: WinRates) -> list[Curve]:
    """One mark per judged run of the report; none where it is alone."""
    cost_by_name = {Path(run.name).name: run.tokens_per_prompt for run in found.runs}
    drawn: list[Curve] = []
    for system in rates.systems:
        cost = cost_by_name.get(system.system, 0.0)
        rate = _EVEN
        if system.system != rates.baseline:
            rate = system.win_rate
        if rate is None or cost == 0:
            continue
        tip = f"{system.system}: {_PERCENT.interval(rate)}, {count(round(cost, 1))} tokens per prompt"
        drawn.append(Curve(system.system, [Point(cost, rate, tip)], is_joined=False))
    if len(drawn) == 1:
        return []
    return drawn


def _table(rates: WinRates) -> Table:
    """All rates, and those by language where there are several."""
    others = [s for s in rates.systems if s.system != rates.baseline]
    languages = sorted({lang for s in others for lang in s.by_language})
    if len(languages) == 1:
        languages = []
    rows: list[tuple[str, ...]] = []
    for s in others:
        shares = [s.win_rate, s.macro, s.bradley_terry, s.length_controlled, s.style_controlled]
        shares += [s.by_language.get(lang) for lang in languages]
        rows.append((s.system, count(s.num_pairs), *map(_PERCENT.interval, shares)))
    columns = ("run", "pairs", "win-rate", "mean of languages", "Bradley–Terry", "at equal length")
    return Table(
        title=f"Win-rate against {rates.baseline} in %",
        columns=(*columns, "at equal style", *languages),
        rows=tuple(rows),
        note=" ".join(f"{note}." for note in rates.notes),
    )
