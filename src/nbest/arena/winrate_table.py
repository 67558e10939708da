"""Win-rates on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from nbest.arena.judge_report import JudgeReport
from nbest.arena.rates import SystemRates
from nbest.arena.winrate import WinRates
from nbest.evaluate.confidence import Estimate

_MAX_PROBLEMS = 3


def blocks(rates: WinRates) -> Iterator[Table | Text]:
    """What `nbest judge` prints, from top to bottom."""
    yield _systems(rates)
    yield from _judge(rates.judge)
    if rates.length_effect and rates.judge.verdicts:
        yield Text(f"length: {_signed(rates.length_effect)} in log-odds; above 0 longer answers win")
    for system, num in rates.unanswered.items():
        yield Text(f"{system}: no answer to {num} prompts; nobody was judged there", style="yellow")
    for note in rates.notes:
        yield Text(f"note: {note}", style="yellow")


def _systems(rates: WinRates) -> Table:
    """A column for each system but the baseline; below the measures, the languages."""
    base = next(s for s in rates.systems if s.system == rates.baseline)
    others = [s for s in rates.systems if s.system != rates.baseline]
    table = Table(
        title=f"against {rates.baseline}, % [95 % interval over {rates.num_clusters} {rates.units}]"
    )
    table.add_column("")
    for s in others:
        table.add_column(s.system, justify="right", overflow="fold")

    languages = sorted({code for s in others for code in s.by_language})
    has_languages = len(languages) > 1
    for title, cells in _measures(others, has_languages=has_languages):
        table.add_row(title, *cells, style="bold" if title == "win-rate" else None)
    lengths = f"characters ({rates.baseline}: {_length(base)})"
    table.add_row(lengths, *map(_length, others), end_section=has_languages)
    if has_languages:
        for code in languages:
            table.add_row(code, *(_percent(s.by_language.get(code)) for s in others))
    return table


def _measures(others: Sequence[SystemRates], *, has_languages: bool) -> Iterator[tuple[str, list[str]]]:
    """Title and cells of each row that says something."""
    yield "pairs of games", [str(s.num_pairs) for s in others]
    if any(s.num_equal for s in others):
        yield "… of equal texts: ties", [str(s.num_equal) for s in others]
    yield "win-rate", [_percent(s.win_rate) for s in others]
    if has_languages:
        yield "mean of languages", [_percent(s.macro) for s in others]
    if len(others) > 1:  # of one it is the win-rate
        yield "Bradley–Terry", [_percent(s.bradley_terry) for s in others]
    yield "at equal length", [_percent(s.length_controlled) for s in others]
    yield "at equal style", [_percent(s.style_controlled) for s in others]


def _judge(judge: JudgeReport) -> Iterator[Text]:
    asked = judge.num_games - judge.num_equal
    spent = judge.usage
    yield Text(
        f"judge: {judge.num_games} games, {asked} asked, {judge.num_null} without a verdict,"
        f" {judge.num_failed} failed; {spent.calls} calls, {spent.prompt} input tokens, {spent.completion} output tokens"
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
    return estimate.text(lambda x: f"{100 * x:.1f}")


def _signed(estimate: Estimate) -> str:
    return estimate.text("{:+.2f}".format)


def _length(system: SystemRates) -> str:
    if system.mean_length is None:
        return "–"
    return f"{system.mean_length:.0f}"
