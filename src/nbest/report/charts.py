"""The forms of our figures: curves with intervals, a heat map, spans around zero, stacked bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nbest.evaluate.estimators import Estimate
from nbest.report.svg import Axis, Svg, clipped, colour, text_width
from nbest.report.table import Scale, count

WIDTH = 880.0
_LEFT = 62.0
_RIGHT = 14.0


class Point(NamedTuple):
    x: float
    y: Estimate
    tip: str


class Curve(NamedTuple):
    """Points joined in order; `is_joined` False: marks alone."""

    label: str
    points: Sequence[Point]
    is_joined: bool = True


class Panel(NamedTuple):
    """One plot of a figure; an empty title for a figure of one."""

    title: str
    curves: Sequence[Curve]


def curves(
    panels: Sequence[Panel],
    *,
    title: str,
    x_title: str,
    y_title: str,
    scale: Scale,
    log: bool = False,
    x_labels: Sequence[str] | None = None,
    series: Sequence[str] | None = None,
) -> Svg:
    """Curves over x, one plot per panel with a common y axis and legend; intervals as whiskers.

    `x_labels` name x = 0, 1, 2, …; without them x is a number, on a log axis where asked. `series` gives
    labels the colours that they have in another figure.
    """
    labels = list(dict.fromkeys((*(series or ()), *(c.label for p in panels for c in p.curves))))
    shown = {c.label for p in panels for c in p.curves}
    svg = Svg(WIDTH, title)
    points = [pt for p in panels for c in p.curves for pt in c.points]
    num_columns = 1 if len(panels) == 1 else min(4, len(panels))
    width = (WIDTH - _LEFT - _RIGHT - 18 * (num_columns - 1)) / num_columns
    height = 330.0 if num_columns == 1 else 130.0
    svg.text(0, 14, y_title, "faint")
    top = svg.legend(labels, _LEFT, 36, WIDTH - _LEFT - _RIGHT, shown) if len(labels) > 1 else 26.0
    bottom = top
    ends = [end for p in points for end in p.y if end is not None]
    lowest, highest = min(ends), max(ends)
    for k, panel in enumerate(panels):
        left = _LEFT + (k % num_columns) * (width + 18)
        upper = top + (k // num_columns) * (height + 46) + (18 if panel.title else 4)
        bottom = upper + height
        y = Axis(lowest, highest, bottom, upper, num_ticks=5 if num_columns == 1 else 3)
        if x_labels is None:
            x = Axis(
                min(p.x for p in points), max(p.x for p in points), left + 14, left + width - 14, log=log
            )
        else:
            x = Axis(0, len(x_labels) - 1, left + 30, left + width - 30, num_ticks=max(1, len(x_labels) - 1))
        if panel.title:
            svg.text(left, upper - 6, panel.title, "strong")
        for tick, text in zip(y.ticks, scale.ticks(y.ticks), strict=True):
            svg.line(left, y(tick), left + width, y(tick), "axis" if tick == 0 and lowest < 0 else "grid")
            if k % num_columns == 0:
                svg.text(left - 8, y(tick) + 4, text, "faint", "end")
        ticks = [(t, count(t)) for t in x.ticks] if x_labels is None else list(enumerate(x_labels))
        last = float("-inf")
        for tick, text in ticks:
            if x(tick) - text_width(text) / 2 > last and left - 1 <= x(tick) <= left + width + 1:
                svg.text(x(tick), bottom + 17, text, "faint", "middle")
                last = x(tick) + text_width(text) / 2 + 8
        for curve in panel.curves:
            _curve(svg, curve, labels, x, y)
    svg.text(_LEFT, bottom + 36, x_title, "faint")
    svg.height = bottom + 44
    return svg


def _curve(svg: Svg, curve: Curve, labels: Sequence[str], x: Axis, y: Axis) -> None:
    series = labels.index(curve.label)
    nudge = 2.2 * (series - (len(labels) - 1) / 2) if len(labels) > 1 else 0.0  # intervals side by side
    at = [(x(p.x) + nudge, p) for p in curve.points]
    if curve.is_joined and len(at) > 1:
        dashed = " dashed" if series >= 8 else ""  # noqa: PLR2004
        svg.polyline([(px, y(p.y.value)) for px, p in at], f"series {colour(series)}{dashed}")
    for px, p in at:
        if p.y.low is not None and p.y.high is not None:
            svg.line(px, y(p.y.low), px, y(p.y.high), f"whisker {colour(series)}")
        svg.marker(px, y(p.y.value), series, p.tip, 4.0)


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
    slanted = any(text_width(c) > width - 6 for c in columns)
    top = 24.0
    for j, column in enumerate(columns):
        shown = clipped(column, width - 4) if slanted else column
        svg.text(label_width + (j + 0.5) * width, top - 8, shown, "faint", "middle")
    for i, row in enumerate(rows):
        y = top + 28 * i
        svg.text(label_width - 10, y + 18, clipped(row, label_width - 12), anchor="end")
        for j, column in enumerate(columns):
            found = values.get((row, column))
            if found is None:
                continue
            value, tip = found
            share = (value - low) / (high - low) if high > low else 0.5
            svg.shape(
                "rect",
                "cell",
                tip,
                x=label_width + j * width + 1,
                y=y + 1,
                width=width - 2,
                height=26.0,
                rx=3.0,
                fill_opacity=0.08 + 0.62 * share,
            )
            svg.text(label_width + (j + 0.5) * width, y + 18, scale.number(value), "small", "middle")
    svg.height = top + 28 * len(rows) + 4
    return svg


class Span(NamedTuple):
    """From `low` to `high` with a mark between."""

    low: float
    middle: float
    high: float
    tip: str


def spans(rows: Sequence[tuple[str, Mapping[str, Span]]], *, title: str, x_title: str, scale: Scale) -> Svg:
    """For each row a span per series, around zero: how far down and up a choice can go."""
    labels = list(dict.fromkeys(s for _, by_series in rows for s in by_series))
    svg = Svg(WIDTH, title)
    label_width = min(220.0, max(text_width(r) for r, _ in rows) + 16)
    top = svg.legend(labels, label_width, 16, WIDTH - label_width) + 4
    all_spans = [s for _, by_series in rows for s in by_series.values()]
    x = Axis(
        min(0.0, *(s.low for s in all_spans)),
        max(0.0, *(s.high for s in all_spans)),
        label_width + 8,
        WIDTH - 16,
    )
    y = top
    marks: list[tuple[float, str, Mapping[str, Span]]] = []
    for name, by_series in rows:
        marks.append((y, name, by_series))
        y += 12 * len(by_series) + 10
    for tick, text in zip(x.ticks, scale.ticks(x.ticks, signed=True), strict=True):
        svg.line(x(tick), top, x(tick), y, "axis" if tick == 0 else "grid")
        svg.text(x(tick), y + 16, text, "faint", "middle")
    for start, name, by_series in marks:
        svg.text(
            label_width - 8, start + 6 * len(by_series) + 9, clipped(name, label_width - 10), anchor="end"
        )
        for k, (series, span) in enumerate(by_series.items()):
            at, i = start + 12 * k + 10, labels.index(series)
            svg.line(x(span.low), at, x(span.high), at, f"span {colour(i)}")
            svg.marker(x(span.middle), at, i, span.tip, 4.0)
    svg.text(label_width, y + 36, x_title, "faint")
    svg.height = y + 44
    return svg


class Part(NamedTuple):
    """A piece of a bar; `is_light` draws it paler."""

    label: str
    value: float
    is_light: bool = False


def bars(rows: Sequence[tuple[str, Sequence[Part]]], *, title: str, x_title: str) -> Svg:
    """Stacked horizontal bars from zero. Parts named `role …` take the colour of the role."""
    svg = Svg(WIDTH, title)
    roles = list(dict.fromkeys(p.label.partition(" ")[0] for _, parts in rows for p in parts))
    label_width = min(330.0, max(text_width(r) for r, _ in rows) + 16)
    y = svg.legend([f"{r} (pale: read, full: drawn)" for r in roles], label_width, 16, WIDTH - label_width)
    x = Axis(0.0, max(sum(p.value for p in parts) for _, parts in rows), label_width + 4, WIDTH - 70)
    top = y
    for tick in x.ticks:
        svg.line(x(tick), top, x(tick), top + 28 * len(rows), "grid")
        svg.text(x(tick), top + 28 * len(rows) + 16, count(tick), "faint", "middle")
    for name, parts in rows:
        svg.text(label_width - 8, y + 18, clipped(name, label_width - 10), anchor="end")
        at = 0.0
        for part in parts:
            cls = f"bar {colour(roles.index(part.label.partition(' ')[0]))}{' read' if part.is_light else ''}"
            svg.rect(
                x(at), y + 5, x(at + part.value) - x(at), 18.0, cls, f"{part.label}: {count(part.value)}"
            )
            at += part.value
        svg.text(x(at) + 6, y + 18, count(at), "faint small halo")
        y += 28
    svg.text(label_width, y + 36, x_title, "faint")
    svg.height = y + 44
    return svg
