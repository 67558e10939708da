"""Drawings as SVG text: shapes with classes, coloured by `chart.css`, so that one drawing does for light and dark."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from functools import cache
from html import escape
from importlib.resources import files

NUM_COLOURS = 8
"""Classes c0 … c7: the palette of Okabe and Ito (2008), told apart by colour-blind readers too."""
_MARGIN = 8
_UNSAYABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Svg:
    """One drawing, in user units of about a CSS pixel."""

    def __init__(self, width: float, title: str) -> None:
        self.width = width
        self.height = 0.0
        self.title = title
        self._parts: list[str] = []

    def shape(self, tag: str, cls: str = "", tip: str | None = None, **attributes: float | str) -> None:
        """`<tag …>`, with `tip` as what a pointer over it says."""
        given = {k.replace("_", "-"): _number(v) for k, v in attributes.items()}
        text = "".join(f' {k}="{_said(v)}"' for k, v in given.items())
        inner = ""
        if tip:
            inner = f"<title>{_said(tip)}</title>"
        self._parts.append(f'<{tag} class="{cls}"{text}>{inner}</{tag}>')

    def line(self, x1: float, y1: float, x2: float, y2: float, cls: str) -> None:
        self.shape("line", cls, x1=x1, y1=y1, x2=x2, y2=y2)

    def rect(self, x: float, y: float, width: float, height: float, cls: str, tip: str | None = None) -> None:
        self.shape("rect", cls, tip, x=x, y=y, width=max(0.0, width), height=height)

    def text(self, x: float, y: float, text: str, cls: str = "", anchor: str = "start") -> None:
        """`anchor`: start, middle or end."""
        self._parts.append(
            f'<text class="{cls}" x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}">{_said(text)}</text>'
        )

    def polyline(self, points: Sequence[tuple[float, float]], cls: str) -> None:
        self.shape("polyline", cls, points=" ".join(f"{_number(x)},{_number(y)}" for x, y in points))

    def marker(self, x: float, y: float, series: int, tip: str, size: float = 4.5) -> None:
        """A filled mark; both its colour and its form say which series it is."""
        form, s = (series + series // NUM_COLOURS) % 4, size
        cls = f"mark {colour(series)}"
        if form == 0:
            self.shape("circle", cls, tip, cx=x, cy=y, r=s)
            return
        corners = {
            1: ((-s, -s), (s, -s), (s, s), (-s, s)),
            2: ((0, -1.3 * s), (1.2 * s, s), (-1.2 * s, s)),
            3: ((0, -1.4 * s), (1.4 * s, 0), (0, 1.4 * s), (-1.4 * s, 0)),
        }[form]
        points = " ".join(f"{_number(x + dx)},{_number(y + dy)}" for dx, dy in corners)
        self.shape("polygon", cls, tip, points=points)

    def legend(
        self, labels: Sequence[str], x: float, y: float, width: float, shown: Collection[str] | None = None
    ) -> float:
        """Marks with names in lines of at most `width`, of those labels that are `shown`; returns the y below."""
        at = x
        for i, label in enumerate(labels):
            if shown is not None and label not in shown:
                continue
            needed = 24 + text_width(label)
            if at > x and at + needed > x + width:
                at, y = x, y + 20
            self.marker(at + 6, y - 4, i, label)
            self.text(at + 16, y, label)
            at += needed + 8
        return y + 14

    def inline(self) -> str:
        """For a page that has `chart.css`."""
        box = f"{-_MARGIN} {-_MARGIN} {_number(self.width + 2 * _MARGIN)} {_number(self.height + _MARGIN)}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"'
            f' role="img" aria-label="{_said(self.title)}">{"".join(self._parts)}</svg>'
        )

    def alone(self) -> str:
        """A file of its own, in light colours on white.

        With dashes for minus signs, which some fonts lack: a renderer would fetch the whole number elsewhere.
        """
        size = f'width="{_number(self.width + 2 * _MARGIN)}" height="{_number(self.height + _MARGIN)}"'
        style = f"<style>{escape(_light_css(), quote=False)}</style>"
        back = f'<rect class="paper" x="{-_MARGIN}" y="{-_MARGIN}" {size}></rect>'
        drawn = self.inline().replace("−", "–")
        return drawn.replace('role="img"', f'role="img" {size}', 1).replace(">", f">{style}{back}", 1)


def _said(text: str) -> str:
    """As XML writes it; control characters and lone surrogates, which it cannot say, as U+FFFD."""
    return escape(_UNSAYABLE.sub("\ufffd", text))


def colour(series: int) -> str:
    """The class of a series' colour."""
    return f"c{series % NUM_COLOURS}"


def text_width(text: str) -> float:
    """About as wide as `text` will be, in px at 12 px: wide characters count double."""
    return sum(12.0 if ord(ch) > 0x2E7F else 6.6 for ch in text)  # noqa: PLR2004


def clipped(text: str, width: float) -> str:
    """`text`, cut to about `width` px with an ellipsis."""
    if text_width(text) <= width:
        return text
    while text and text_width(text) > width - 10:
        text = text[:-1]
    return text + "…"


class Axis:
    """Numbers to px, linearly or by their logarithm, with round ticks."""

    def __init__(
        self, low: float, high: float, start: float, end: float, *, log: bool = False, num_ticks: int = 5
    ) -> None:
        self._log = log and low > 0
        self._start, self._end = start, end
        if self._log:
            self._low, self._high = math.log10(low), math.log10(high)
            if self._high - self._low < 0.3:  # noqa: PLR2004 (less than a factor of two shows no tick)
                middle = (self._low + self._high) / 2
                self._low, self._high = middle - 0.2, middle + 0.2
            self.ticks = _log_ticks(self._low, self._high)
            return
        if high <= low:
            low, high = low - 0.5, high + 0.5
        step = _nice((high - low) / num_ticks)
        self._low, self._high = math.floor(low / step) * step, math.ceil(high / step) * step
        num = round((self._high - self._low) / step)
        self.ticks = [round(self._low + i * step, 10) for i in range(num + 1)]

    def __call__(self, value: float) -> float:
        at = value
        if self._log:
            at = math.log10(max(value, 1e-12))
        return self._start + (at - self._low) / (self._high - self._low) * (self._end - self._start)


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * 0.999)


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(low), math.ceil(high) + 1)
    for multiples in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [m * 10.0**p for p in powers for m in multiples if low <= math.log10(m * 10.0**p) <= high]
        if len(ticks) >= 3:  # noqa: PLR2004
            return ticks
    return ticks


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}".rstrip("0").rstrip(".")


@cache
def stylesheet() -> str:
    """`chart.css`."""
    return files("nbest.report").joinpath("chart.css").read_text(encoding="utf-8")


@cache
def _light_css() -> str:
    """`chart.css` with its variables filled in from their light values: not every renderer knows variables."""
    css = re.sub(r"/\*.*?\*/", "", stylesheet(), flags=re.DOTALL)
    css = re.sub(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", css)
    values = dict(re.findall(r"(--[\w-]+):\s*([^;]+);", css))
    css = re.sub(r":root\s*\{[^}]*\}", "", css)
    return re.sub(r"var\((--[\w-]+)\)", lambda m: values[m[1]], css).replace("svg ", "")
