"""Curves with intervals over x, one plot per panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nbest.evaluate.estimators import Estimate
from nbest.report.svg import Axis, Svg, colour, text_width
from nbest.report.table import Scale, count

WIDTH = 880.0
_LEFT = 62.0
_RIGHT = 14.0
_GAP = 18.0
"""Between plots side by side."""
_MOST_COLUMNS = 4
_NUM_SOLID = 8
"""Series beyond have dashed lines: colours begin again."""


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


class _Plot(NamedTuple):
    """Where one panel is drawn, in px."""

    left: float
    top: float
    width: float
    height: float
    is_first_in_row: bool

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height


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
    shown = [curve.label for panel in panels for curve in panel.curves]
    labels = list(dict.fromkeys((*(series or ()), *shown)))
    points = [point for panel in panels for curve in panel.curves for point in curve.points]

    svg = Svg(WIDTH, title)
    svg.text(0, 14, y_title, "faint")
    top = 26.0
    if len(labels) > 1:
        top = svg.legend(labels, _LEFT, 36, WIDTH - _LEFT - _RIGHT, set(shown))
    plots = _plots(panels, top)
    for panel, plot in zip(panels, plots, strict=True):
        if panel.title:
            svg.text(plot.left, plot.top - 6, panel.title, "strong")
        y = _y_axis(points, plot, num_ticks=3 if len(panels) > 1 else 5)
        _draw_y_axis(svg, y, plot, scale, has_zero_line=min(_ends(points)) < 0)
        x = _x_axis(points, plot, x_labels, log=log)
        _draw_x_axis(svg, x, plot, x_labels)
        for curve in panel.curves:
            _draw_curve(svg, curve, labels, x, y)
    svg.text(_LEFT, plots[-1].bottom + 36, x_title, "faint")
    svg.height = plots[-1].bottom + 44
    return svg


def _plots(panels: Sequence[Panel], top: float) -> list[_Plot]:
    """One wide plot, or rows of up to four small ones."""
    num_columns = min(_MOST_COLUMNS, len(panels))
    width = (WIDTH - _LEFT - _RIGHT - _GAP * (num_columns - 1)) / num_columns
    height = 130.0
    if num_columns == 1:
        height = 330.0
    plots: list[_Plot] = []
    for k, panel in enumerate(panels):
        row, column = divmod(k, num_columns)
        above = 4
        if panel.title:
            above = 18
        plots.append(
            _Plot(
                left=_LEFT + column * (width + _GAP),
                top=top + row * (height + 46) + above,
                width=width,
                height=height,
                is_first_in_row=column == 0,
            )
        )
    return plots


def _ends(points: Sequence[Point]) -> list[float]:
    return [end for point in points for end in point.y if end is not None]


def _y_axis(points: Sequence[Point], plot: _Plot, *, num_ticks: int) -> Axis:
    ends = _ends(points)
    return Axis(min(ends), max(ends), plot.bottom, plot.top, num_ticks=num_ticks)


def _x_axis(points: Sequence[Point], plot: _Plot, labels: Sequence[str] | None, *, log: bool) -> Axis:
    if labels is not None:
        num_steps = len(labels) - 1
        return Axis(0, num_steps, plot.left + 30, plot.right - 30, num_ticks=max(1, num_steps))
    xs = [point.x for point in points]
    return Axis(min(xs), max(xs), plot.left + 14, plot.right - 14, log=log)


def _draw_y_axis(svg: Svg, y: Axis, plot: _Plot, scale: Scale, *, has_zero_line: bool) -> None:
    for tick, text in zip(y.ticks, scale.ticks(y.ticks), strict=True):
        is_zero = tick == 0 and has_zero_line
        svg.line(plot.left, y(tick), plot.right, y(tick), "axis" if is_zero else "grid")
        if plot.is_first_in_row:
            svg.text(plot.left - 8, y(tick) + 4, text, "faint", "end")


def _draw_x_axis(svg: Svg, x: Axis, plot: _Plot, labels: Sequence[str] | None) -> None:
    """Ticks from left to right, those left out that would touch the one before or stand outside."""
    ticks = [(tick, count(tick)) for tick in x.ticks] if labels is None else list(enumerate(labels))
    end_of_last = float("-inf")
    for tick, text in ticks:
        at, half = x(tick), text_width(text) / 2
        is_inside = plot.left - 1 <= at <= plot.right + 1
        if is_inside and at - half > end_of_last:
            svg.text(at, plot.bottom + 17, text, "faint", "middle")
            end_of_last = at + half + 8


def _draw_curve(svg: Svg, curve: Curve, labels: Sequence[str], x: Axis, y: Axis) -> None:
    series = labels.index(curve.label)
    nudge = 2.2 * (series - (len(labels) - 1) / 2)  # intervals stand side by side
    at = [(x(point.x) + nudge, point) for point in curve.points]
    if curve.is_joined and len(at) > 1:
        dashed = ""
        if series >= _NUM_SOLID:
            dashed = " dashed"
        svg.polyline([(px, y(point.y.value)) for px, point in at], f"series {colour(series)}{dashed}")
    for px, point in at:
        if point.y.low is not None and point.y.high is not None:
            svg.line(px, y(point.y.low), px, y(point.y.high), f"whisker {colour(series)}")
        svg.marker(px, y(point.y.value), series, point.tip, 4.0)
