"""An evaluation on a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nbest.evaluate.runs import MOST_LANGUAGE_CHECKS
from nbest.evaluate.scores import ACCURACY
from nbest.evaluate.summary import Cell, Evaluation, Group

_MOSTLY: Final = 0.9
_COLUMN_WIDTH: Final = 14
PLAIN_WIDTH: Final = 160
"""Characters a line, where nobody says how many there are: in a file or a pipe."""


class _Shown(NamedTuple):
    measure: str
    title: str
    in_percent: bool


def show(evaluation: Evaluation, console: Console) -> None:
    """Quality, then language and cost of every run, then differences; intervals below each value.

    Columns that do not fit side by side follow in a table below.
    """
    is_accuracy = evaluation.runs[0].scorer == ACCURACY
    for facts in evaluation.runs:
        groups = [g for g in evaluation.groups if g.run == facts.run]
        for title, columns in _columns(groups, is_accuracy=is_accuracy).items():
            lead = max(len(evaluation.by), *(len(g.group) for g in groups)) + 12
            at_once = max(2, (console.width - lead) // _COLUMN_WIDTH)
            for start in range(0, len(columns), at_once):
                shown = columns[start : start + at_once]
                console.print(_table(f"{facts.run}: {title}", evaluation.by, groups, shown))
    if evaluation.changes:
        console.print(_changes(evaluation, in_percent=is_accuracy))
    console.print("\n".join(_notes(evaluation)), style="dim", soft_wrap=True)


def _table(title: str, by: str, groups: Sequence[Group], columns: Sequence[_Shown]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(by, no_wrap=True)
    table.add_column("prompts", justify="right", no_wrap=True)
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    for group in groups:
        cells = (_text(group.cells.get(c.measure), c) for c in columns)
        table.add_row(group.group, str(group.num_prompts), *cells)
    return table


def _columns(groups: Sequence[Group], *, is_accuracy: bool) -> dict[str, list[_Shown]]:
    """What there is to show; of k only 1 and the largest that most prompts have draws for."""
    num_all = sum(g.num_prompts for g in groups)
    num_known: dict[str, int] = {}
    for group in groups:
        for name, cell in group.cells.items():
            num_known[name] = num_known.get(name, 0) + cell.num_prompts
    name = "accuracy" if is_accuracy else "score"
    quality = [_Shown("score", name, is_accuracy)]
    for kind in ("pass", "max", "maj", "best"):
        ks = [int(m[1]) for key in num_known if (m := re.fullmatch(rf"{kind}@(\d+)", key))]
        usual = [k for k in ks if num_known[f"{kind}@{k}"] >= _MOSTLY * num_all] or ks
        wanted = sorted({1, max(usual)} if kind in {"pass", "max"} else {max(usual)}) if usual else []
        quality += [_Shown(f"{kind}@{k}", f"{kind}@{k}", is_accuracy) for k in wanted]
    quality += [_Shown(key, key, is_accuracy) for key in ("hope", "risk", "regret")]
    rest = [
        _Shown("distinct", "distinct", in_percent=False),
        _Shown("line", "line pass", in_percent=True),
        _Shown("word", "word pass", in_percent=True),
        _Shown("prompt_tokens", "read", in_percent=False),
        _Shown("cached_tokens", "cached", in_percent=False),
        _Shown("drawn_tokens", "drawn", in_percent=False),
        _Shown("flops", "FLOPs", in_percent=False),
        _Shown("money", "money", in_percent=False),
    ]
    return {
        f"quality{', in %' if is_accuracy else ''}": [c for c in quality if c.measure in num_known],
        "different answers, language pass rates in %, tokens and cost per prompt": [
            c for c in rest if c.measure in num_known
        ],
    }


def _text(cell: Cell | None, column: _Shown) -> Text:
    if cell is None:
        return Text("–", style="dim")
    value = Text(_number(cell.value, in_percent=column.in_percent))
    if cell.low is None or cell.high is None:
        return value
    low, high = (_number(x, in_percent=column.in_percent) for x in (cell.low, cell.high))
    return value.append(f"\n[{low}, {high}]", style="dim")


def _number(x: float, *, in_percent: bool, sign: str = "") -> str:
    if in_percent:
        return format(100 * x, f"{sign}.1f").replace("-", "−")
    if x and not 1e-3 <= abs(x) < 1e5:  # noqa: PLR2004
        return format(x, f"{sign}.2e")
    return format(x, f"{sign}.{0 if abs(x) >= 1000 else 1 if abs(x) >= 10 else 2}f").replace("-", "−")  # noqa: PLR2004


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
    for c in evaluation.changes:
        if before not in {None, c.run}:
            table.add_section()
        between = (
            "–"
            if c.low is None or c.high is None
            else f"[{_number(c.low, in_percent=in_percent, sign='+')}, {_number(c.high, in_percent=in_percent, sign='+')}]"
        )
        table.add_row(
            c.run if c.run != before else "",
            c.group,
            str(c.num_prompts),
            _number(c.value, in_percent=in_percent, sign="+"),
            between,
            _p(c.p),
            _p(c.p_holm),
        )
        before = c.run
    return table


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"  # noqa: PLR2004


def _notes(evaluation: Evaluation) -> Iterator[str]:
    """What a reader must know to trust the numbers."""
    if any(cell.low is None for group in evaluation.groups for cell in group.cells.values()):
        yield (
            "No interval: a single prompt or cluster, or a macro average of groups with one, does not tell how sure a"
            " value is."
        )
    for facts in evaluation.runs:
        whole = [g for g in evaluation.groups if g.run == facts.run][-1]
        measured = "nothing to measure answers by" if facts.scorer is None else f"measured by {facts.scorer}"
        units = (
            f"intervals over {whole.num_clusters} clusters (column {facts.cluster!r})"
            if facts.cluster
            else "intervals over prompts, each on its own"
        )
        yield f"{facts.run}: {measured}; {units}."
        num_scored = whole.cells["score"].num_prompts if "score" in whole.cells else 0
        if facts.scorer and num_scored < whole.num_prompts:
            yield f"  {whole.num_prompts - num_scored} of {whole.num_prompts} prompts have no score."
        if (line := whole.cells.get("line")) and line.num_prompts < whole.num_prompts:
            sampled = whole.num_prompts > MOST_LANGUAGE_CHECKS
            yield (
                f"  language was judged in {line.num_prompts} answers of {whole.num_prompts}: those with a line"
                f" of 5 words or more{', of a sample' if sampled else ''}."
            )
