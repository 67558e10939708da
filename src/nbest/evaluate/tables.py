"""An evaluation on a terminal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nbest.evaluate.notes import notes_on, warnings_on
from nbest.evaluate.scores import is_accuracy
from nbest.evaluate.summary import Cell, Change, Evaluation, Group

_MOSTLY: Final = 0.9
_COLUMN_WIDTH: Final = 14
PLAIN_WIDTH: Final = 160
"""Characters a line, where nobody says how many there are: in a file or a pipe."""
_SMALL: Final = 1e-3
_LARGE: Final = 1e5
"""Numbers outside are written with an exponent."""


class _Shown(NamedTuple):
    measure: str
    title: str
    in_percent: bool


def show(evaluation: Evaluation, console: Console) -> None:
    """Quality, then language and cost of every run, then differences; intervals below each value.

    Columns that do not fit side by side follow in a table below.
    """
    in_percent = is_accuracy(evaluation.runs[0].scorer)
    for facts in evaluation.runs:
        groups = [g for g in evaluation.groups if g.run == facts.run]
        for title, columns in _columns(groups, is_accuracy=in_percent).items():
            lead = max(len(evaluation.by), *(len(g.group) for g in groups)) + 12
            at_once = max(2, (console.width - lead) // _COLUMN_WIDTH)
            for start in range(0, len(columns), at_once):
                shown = columns[start : start + at_once]
                console.print(_table(f"{facts.run}: {title}", evaluation.by, groups, shown))
    if evaluation.changes:
        console.print(_changes(evaluation, in_percent=in_percent))
    for warning in warnings_on(evaluation):
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    console.print("\n".join(notes_on(evaluation)), style="dim", soft_wrap=True)


def _table(title: str, by: str, groups: Sequence[Group], columns: Sequence[_Shown]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(by, no_wrap=True)
    table.add_column("prompts", justify="right", no_wrap=True)
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    for group in groups:
        cells = (_text(group.cells.get(c.measure), c, group.num_prompts) for c in columns)
        table.add_row(group.group, str(group.num_prompts), *cells)
    return table


def _columns(groups: Sequence[Group], *, is_accuracy: bool) -> dict[str, list[_Shown]]:
    """Title of a table → its columns: what there is to show."""
    num_known: Counter[str] = Counter()
    for group in groups:
        num_known.update({name: cell.num_prompts for name, cell in group.cells.items()})
    num_all = sum(g.num_prompts for g in groups)

    quality = [_Shown("score", "accuracy" if is_accuracy else "score", is_accuracy)]
    for kind in ("pass", "max", "maj", "best"):
        quality += [_Shown(f"{kind}@{k}", f"{kind}@{k}", is_accuracy) for k in _ks(kind, num_known, num_all)]
    quality += [_Shown(key, key, is_accuracy) for key in ("hope", "risk", "regret")]
    rest = [
        _Shown("distinct", "distinct", in_percent=False),
        _Shown("line", "line pass", in_percent=True),
        _Shown("word", "word pass", in_percent=True),
        _Shown("truncated", "truncated", in_percent=True),
        _Shown("input_tokens", "input", in_percent=False),
        _Shown("cached_tokens", "cached", in_percent=False),
        _Shown("output_tokens", "output", in_percent=False),
        _Shown("flops", "FLOPs", in_percent=False),
        _Shown("money", "money", in_percent=False),
    ]
    titles = {
        "quality, in %" if is_accuracy else "quality": quality,
        "different answers, language pass rates in %, tokens and cost per prompt": rest,
    }
    if not _has_truncated(groups):
        del num_known["truncated"]
    return {title: [c for c in columns if c.measure in num_known] for title, columns in titles.items()}


def _ks(kind: str, num_known: Counter[str], num_all: int) -> list[int]:
    """The k of `kind@k` to be shown: the largest that most prompts have draws for, and a smaller one where it says more."""
    matches = (re.fullmatch(rf"{kind}@(\d+)", name) for name in num_known)
    ks = [int(match[1]) for match in matches if match]
    if not ks:
        return []
    usual = [k for k in ks if num_known[f"{kind}@{k}"] >= _MOSTLY * num_all]
    largest = max(usual or ks)
    if kind in {"pass", "max"}:
        return sorted({1, largest})
    if kind == "best":
        return sorted(k for k in ks if k <= largest)[-2:]
    return [largest]


def _has_truncated(groups: Sequence[Group]) -> bool:
    cells = [g.cells[name] for g in groups for name in ("truncated", "truncated_draws") if name in g.cells]
    return any(cell.value > 0 for cell in cells)


def _text(cell: Cell | None, column: _Shown, num_prompts: int) -> Text:
    """The value, its interval below, and the number of prompts where it is not that of the row."""
    if cell is None:
        return Text("–", style="dim")
    value = Text(_number(cell.value, in_percent=column.in_percent))
    if cell.low is not None and cell.high is not None:
        low, high = (_number(x, in_percent=column.in_percent) for x in (cell.low, cell.high))
        value.append(f"\n[{low}, {high}]", style="dim")
    if cell.num_prompts != num_prompts:
        value.append(f"\nof {cell.num_prompts}", style="dim")
    return value


def _number(x: float, *, in_percent: bool, sign: str = "") -> str:
    if in_percent:
        return format(100 * x, f"{sign}.1f").replace("-", "−")
    size = abs(x)
    if size and not _SMALL <= size < _LARGE:
        return format(x, f"{sign}.2e")
    decimals = 2
    if size >= 1000:  # noqa: PLR2004
        decimals = 0
    elif size >= 10:  # noqa: PLR2004
        decimals = 1
    return format(x, f"{sign}.{decimals}f").replace("-", "−")


def _changes(evaluation: Evaluation, *, in_percent: bool) -> Table:
    first = evaluation.runs[0].run
    table = Table(
        title=f"difference from {first}, paired", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("run", overflow="fold")
    table.add_column(evaluation.by)
    for name in ("prompts", "difference", "95 % interval", "p", "p (Holm)"):
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for change in evaluation.changes:
        if before not in {None, change.run}:
            table.add_section()
        table.add_row(
            change.run if change.run != before else "",
            change.group,
            str(change.num_prompts),
            _number(change.value, in_percent=in_percent, sign="+"),
            _interval(change, in_percent=in_percent),
            _p(change.p),
            _p(change.p_holm),
        )
        before = change.run
    return table


def _interval(change: Change, *, in_percent: bool) -> str:
    if change.low is None or change.high is None:
        return "–"
    low, high = (_number(x, in_percent=in_percent, sign="+") for x in (change.low, change.high))
    return f"[{low}, {high}]"


def _p(p: float) -> str:
    if p < 0.001:  # noqa: PLR2004
        return "< 0.001"
    return f"{p:.3f}"
