"""A heat map, spans around zero, stacked bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nbest.report.curves import WIDTH
from nbest.report.svg import Axis, Svg, clipped, colour, text_width
from nbest.report.table import Scale, count

_ROW = 28
"""Height of a row of a heat map or of bars."""


def heatmap(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[tuple[str, str], tuple[float, str]],
    *,
    title: str,
    scale: Scale,
) -> Svg:
    """Rows × columns of numbers on a ground as strong as they are high; each cell (value, tip)."""
    svg = Svg(WIDTH, title)
    label_width = min(300.0, max(text_width(r) for r in rows) + 12)
    width = min(92.0, (WIDTH - label_width) / len(columns))
    low, high = min(v for v, _ in values.values()), max(v for v, _ in values.values())
    top = 24.0
    for j, column in enumerate(columns):
        svg.text(label_width + (j + 0.5) * width, top - 8, clipped(column, width - 4), "faint", "middle")
    for i, row in enumerate(rows):
        y = top + _ROW * i
        svg.text(label_width - 10, y + 18, clipped(row, label_width - 12), anchor="end")
        for j, column in enumerate(columns):
            cell = values.get((row, column))
            if cell is None:
                continue
            value, tip = cell
            share = 0.5
            if high > low:
                share = (value - low) / (high - low)
            left = label_width + j * width
            svg.shape(
                "rect",
                "cell",
                tip,
                x=left + 1,
                y=y + 1,
                width=width - 2,
                height=26.0,
                rx=3.0,
                fill_opacity=0.08 + 0.62 * share,
            )
            svg.text(left + width / 2, y + 18, scale.number(value), "small", "middle")
    svg.height = top + _ROW * len(rows) + 4
    return svg


class Span(NamedTuple):
    """From `low` to `high` with a mark between."""

    low: float
    middle: float
    high: float
    tip: str


def spans(rows: Sequence[tuple[str, Mapping[str, Span]]], *, title: str, x_title: str, scale: Scale) -> Svg:
    """For each row a span per series, around zero: how far down and up a choice can go."""
    labels = list(dict.fromkeys(series for _, by_series in rows for series in by_series))
    svg = Svg(WIDTH, title)
    label_width = min(220.0, max(text_width(r) for r, _ in rows) + 16)
    top = svg.legend(labels, label_width, 16, WIDTH - label_width) + 4
    starts = [top]
    for _, by_series in rows:
        starts.append(starts[-1] + 12 * len(by_series) + 10)
    bottom = starts.pop()

    every = [span for _, by_series in rows for span in by_series.values()]
    lowest, highest = min(0.0, *(s.low for s in every)), max(0.0, *(s.high for s in every))
    x = Axis(lowest, highest, label_width + 8, WIDTH - 16)
    for tick, text in zip(x.ticks, scale.ticks(x.ticks, signed=True), strict=True):
        svg.line(x(tick), top, x(tick), bottom, "axis" if tick == 0 else "grid")
        svg.text(x(tick), bottom + 16, text, "faint", "middle")
    for start, (name, by_series) in zip(starts, rows, strict=True):
        middle = start + 6 * len(by_series) + 9
        svg.text(label_width - 8, middle, clipped(name, label_width - 10), anchor="end")
        for k, (series, span) in enumerate(by_series.items()):
            y, number = start + 12 * k + 10, labels.index(series)
            svg.line(x(span.low), y, x(span.high), y, f"span {colour(number)}")
            svg.marker(x(span.middle), y, number, span.tip, 4.0)
    svg.text(label_width, bottom + 36, x_title, "faint")
    svg.height = bottom + 44
    return svg


class Part(NamedTuple):
    """One part of a bar."""

    group: str
    """Parts of one group have one colour."""
    label: str
    value: float
    is_light: bool = False
    """Whether it is drawn paler."""


def bars(
    rows: Sequence[tuple[str, Sequence[Part]]], *, title: str, x_title: str, legend: str = "{group}"
) -> Svg:
    """Stacked horizontal bars from zero; `legend` is how a group is named there."""
    svg = Svg(WIDTH, title)
    groups = list(dict.fromkeys(part.group for _, parts in rows for part in parts))
    label_width = min(330.0, max(text_width(r) for r, _ in rows) + 16)
    top = svg.legend([legend.format(group=g) for g in groups], label_width, 16, WIDTH - label_width)
    bottom = top + _ROW * len(rows)
    longest = max(sum(part.value for part in parts) for _, parts in rows)
    x = Axis(0.0, longest, label_width + 4, WIDTH - 70)
    for tick in x.ticks:
        svg.line(x(tick), top, x(tick), bottom, "grid")
        svg.text(x(tick), bottom + 16, count(tick), "faint", "middle")
    for i, (name, parts) in enumerate(rows):
        y = top + _ROW * i
        svg.text(label_width - 8, y + 18, clipped(name, label_width - 10), anchor="end")
        at = 0.0
        for part in parts:
            pale = ""
            if part.is_light:
                pale = " pale"
            classes = f"bar {colour(groups.index(part.group))}{pale}"
            tip = f"{part.label}: {count(part.value)}"
            svg.rect(x(at), y + 5, x(at + part.value) - x(at), 18.0, classes, tip)
            at += part.value
        svg.text(x(at) + 6, y + 18, count(at), "faint small halo")
    svg.text(label_width, bottom + 36, x_title, "faint")
    svg.height = bottom + 44
    return svg
