"""Tables of text, and how they look in HTML, Markdown, LaTeX and on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape

import rich.table
from rich.text import Text

from nbest.evaluate.estimators import Estimate
from nbest.evaluate.scores import is_accuracy
from nbest.types import Value

_LATEX = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "−": "$-$",
        "×": r"$\times$",
    }
)


class Table(Value, frozen=True, kw_only=True):
    """Rows of text under column names; the first column is text, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    num_text_columns: int = 1

    def html(self, *, is_titled: bool = True) -> str:
        """A `<table>`, with its title as caption unless that stands above it already; every cell escaped."""
        head = "".join(self._cell("th", i, column, ' scope="col"') for i, column in enumerate(self.columns))
        body = "".join(f"<tr>{self._row(row)}</tr>\n" for row in self.rows)
        note = paragraph("note", self.note)
        caption = ""
        if is_titled:
            caption = f"<caption>{escape(self.title)}</caption>"
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(self.title)}"><table>'
            f"{caption}<thead><tr>{head}</tr></thead>\n"
            f"<tbody>{body}</tbody></table></div>{note}"
        )

    def _row(self, row: Sequence[str]) -> str:
        first, *rest = row
        cells = [self._cell("td", i, text) for i, text in enumerate(rest, 1)]
        return self._cell("th", 0, first, ' scope="row"') + "".join(cells)

    def _cell(self, tag: str, i: int, text: str, extra: str = "") -> str:
        kind = ' class="number"'
        if i < self.num_text_columns:
            kind = ""
        return f'<{tag}{kind}{extra} dir="auto">{escape(text)}</{tag}>'

    def markdown(self) -> str:
        """A pipe table under its title."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(" ".join(c.replace("|", "\\|").split()) for c in cells) + " |"

        n = self.num_text_columns
        rule = "|" + "---|" * n + "--:|" * (len(self.columns) - n)
        lines = [f"**{self.title}**", "", line(self.columns), rule, *map(line, self.rows)]
        if self.note:
            lines += ["", self.note]
        return "\n".join(lines)

    def latex(self) -> str:
        """A `table` with booktabs rules; for XeLaTeX or LuaLaTeX, since names may be in any script."""

        def line(cells: Sequence[str]) -> str:
            return "    " + " & ".join(" ".join(c.split()).translate(_LATEX) for c in cells) + r" \\"

        n = self.num_text_columns
        caption = ". ".join(filter(None, (self.title, self.note)))
        return "\n".join(
            [
                r"\begin{table}",
                rf"  \caption{{{caption.translate(_LATEX)}}}",
                rf"  \begin{{tabular}}{{{'l' * n}{'r' * (len(self.columns) - n)}}}",
                r"    \toprule",
                line(self.columns),
                r"    \midrule",
                *map(line, self.rows),
                r"    \bottomrule",
                r"  \end{tabular}",
                r"\end{table}",
            ]
        )

    def terminal(self) -> rich.table.Table:
        """For `rich`."""
        shown = rich.table.Table(title=self.title, title_justify="left", caption=self.note or None)
        for i, column in enumerate(self.columns):
            is_text = i < self.num_text_columns
            shown.add_column(column, justify="left" if is_text else "right", no_wrap=is_text)
        for row in self.rows:
            shown.add_row(*map(Text, row))
        return shown


class Scale(Value, frozen=True, kw_only=True):
    """How a score is written: accuracy in per cent, other scores in their own unit."""

    factor: float = 1.0
    decimals: int = 3
    unit: str = ""

    @classmethod
    def of(cls, score: str | None, values: Sequence[float]) -> Scale:
        """One decimal for per cent and for scores of ten and more, else three."""
        if is_accuracy(score):
            return cls(factor=100.0, decimals=1, unit="%")
        is_large = max(map(abs, values), default=0.0) >= 10  # noqa: PLR2004
        return cls(decimals=1 if is_large else 3)

    def number(self, value: float | None, *, signed: bool = False) -> str:
        """`12.3`, or `+12.3`, with a true minus sign; a dash for None."""
        if value is None:
            return "–"
        sign = ""
        if signed:
            sign = "+"
        return format(value * self.factor, f"{sign}.{self.decimals}f").replace("-", "−")

    def ticks(self, values: Sequence[float], *, signed: bool = False) -> list[str]:
        """Of an axis: no more decimals than the values need."""

        def fits(decimals: int) -> bool:
            return all(abs(round(v * self.factor, decimals) - v * self.factor) < 1e-9 for v in values)  # noqa: PLR2004

        decimals = next((d for d in range(self.decimals) if fits(d)), self.decimals)
        short = Scale(factor=self.factor, decimals=decimals)
        return [short.number(v, signed=signed and v != 0) for v in values]

    def interval(self, e: Estimate | None, *, signed: bool = False) -> str:
        """`12.3 [10.1, 14.5]`, as `Estimate.text`; a dash for None."""
        if e is None:
            return "–"
        return e.text(partial(self.number, signed=signed))


def paragraph(cls: str, text: str) -> str:
    """A `<p>` of the class `cls`; nothing for no text."""
    if text:
        return f'<p class="{cls}">{escape(text)}</p>'
    return ""


def score_name(score: str | None) -> str:
    """For axes and headings."""
    if is_accuracy(score):
        return "right answers (%)"
    return score or "score"


def count(number: float) -> str:
    """`12 345`, with narrow spaces; one decimal below 100."""
    if 0 < number < 100 and number % 1:  # noqa: PLR2004
        return f"{number:.1f}"
    return f"{number:,.0f}".replace(",", "\u202f")
