"""Win-rates for the eye."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from nbest.evaluate.intervals import Estimate
from nbest.evaluate.judge_report import JudgeReport
from nbest.evaluate.rates import SystemRates
from nbest.evaluate.winrate import WinRates

_MAX_PROBLEMS = 3


def blocks(rates: WinRates) -> Iterator[Table | Text]:
    """What `nbest judge` prints, from top to bottom."""
    yield _systems(rates)
    others = [s for s in rates.systems if s.by_language]
    if len({code for s in others for code in s.by_language}) > 1:
        yield _languages(others)
    yield from _judge(rates.judge)
    if rates.length_effect and rates.judge.verdicts:
        yield Text(f"length: {_signed(rates.length_effect)} in log-odds; above 0 longer answers win")
    for system, num in rates.unanswered.items():
        yield Text(f"{system}: no answer to {num} prompts; nobody was judged there", style="yellow")
    for note in rates.notes:
        yield Text(f"note: {note}", style="yellow")


def _systems(rates: WinRates) -> Table:
    units = "prompts" if rates.cluster is None else f"clusters ({rates.cluster})"
    table = Table(title=f"win-rate against {rates.baseline}, %; {rates.num_clusters} {units}")
    columns = {"win-rate": [s.win_rate for s in rates.systems]}
    if any(len(s.by_language) > 1 for s in rates.systems):
        columns["mean of languages"] = [s.macro for s in rates.systems]
    if len(rates.systems) > 2:  # noqa: PLR2004 (of two it is the win-rate)
        columns["Bradley–Terry"] = [s.bradley_terry for s in rates.systems]
    columns["at equal length"] = [s.length_controlled for s in rates.systems]
    columns["at equal style"] = [s.style_controlled for s in rates.systems]
    table.add_column("system")
    for name in ("pairs", *columns, "length"):
        table.add_column(name, justify="right")
    for i, s in enumerate(rates.systems):
        if s.system == rates.baseline:
            table.add_row(s.system, *[""] * (1 + len(columns)), _length(s), style="dim")
        else:
            cells = (_percent(estimates[i]) for estimates in columns.values())
            table.add_row(s.system, str(s.num_pairs), *cells, _length(s))
    return table


def _languages(systems: list[SystemRates]) -> Table:
    table = Table(title="by language, %")
    table.add_column("language")
    for s in systems:
        table.add_column(s.system, justify="right")
    for code in sorted({code for s in systems for code in s.by_language}):
        table.add_row(code, *(_percent(s.by_language.get(code)) for s in systems))
    return table


def _judge(judge: JudgeReport) -> Iterator[Text]:
    asked = judge.num_games - judge.num_equal
    spent = judge.usage
    yield Text(
        f"judge: {judge.num_games} games, {asked} asked, {judge.num_null} without a verdict,"
        f" {judge.num_failed} failed; {spent.calls} calls, {spent.prompt} prompt tokens, {spent.completion} drawn"
    )
    for problem, num in list(judge.problems.items())[:_MAX_PROBLEMS]:
        yield Text(f"  {num} × {problem}", style="yellow")
    if judge.seat_a and judge.agreement and judge.contradiction:
        yield Text(
            f"position: {_percent(judge.seat_a)} of the points to the answer shown first;"
            f" both orders agree in {_percent(judge.agreement)},"
            f" the same seat wins both in {_percent(judge.contradiction)}"
        )


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"


def _length(system: SystemRates) -> str:
    return "–" if system.mean_length is None else f"{system.mean_length:.0f}"
