"""Score against measured cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from nbest.evaluate.comparison import Comparison, ComparisonCell
from nbest.evaluate.estimators import Estimate
from nbest.report import compared
from nbest.report.curves import Curve, Panel, Point, curves
from nbest.report.figure import Figure, mean_of, score_scale
from nbest.report.findings import Findings
from nbest.report.table import Scale, count, score_name
from nbest.types import replace

TOKENS_TITLE = "tokens per prompt, input and output, all roles (log scale)"


def scaling(found: Findings, comparisons: Sequence[Comparison]) -> list[Figure]:
    """Figures of each comparison, or one of the runs themselves where there is none."""
    made: list[Figure] = []
    for k, comparison in enumerate(comparisons):
        made += _figures_of(comparison, suffix=f"-{k + 1}" if k else "")
    if found.score is not None and not comparisons:
        made += _runs_by_cost(found)
    return made


def _figures_of(comparison: Comparison, *, suffix: str) -> list[Figure]:
    """Scores, gains over the baseline, and scores by language where there are several."""
    scale = Scale.of(comparison.score, [c.value.value for c in comparison.cells])
    draw = partial(
        curves,
        x_title=TOKENS_TITLE if _is_priced(comparison.cells) else "draws",
        y_title=score_name(comparison.score),
        scale=scale,
        log=True,
    )
    cells_by_language = {
        language: [c for c in comparison.cells if c.language == language]
        for language in dict.fromkeys(c.language for c in comparison.cells)
    }
    everywhere = cells_by_language.pop(None)
    scores = Panel("", _curves_of(everywhere, lambda c: c.value, scale))
    made = [
        Figure(
            f"scaling{suffix}",
            "Scaling with measured cost",
            "Every method on the same random parts of the recorded pools. Whiskers: 95 % intervals over prompts.",
            draw([scores], title="Score against cost"),
            compared.tables(comparison),
        )
    ]
    gains = _curves_of(everywhere, lambda c: c.gain, scale, signed=True)
    if gains:
        specs = [curve.label for curve in scores.curves]
        made.append(
            Figure(
                f"gain{suffix}",
                f"Gain over {compared.baseline_name(comparison)}",
                "Paired: the difference of each prompt's score on the same parts of its pool. This, not the overlap"
                " of the whiskers above, says whether a method is better.",
                draw([Panel("", gains)], title="Gain against cost", series=specs),
                [],
            )
        )
    panels = [
        Panel(language or "", _curves_of(cells, lambda c: c.value, scale))
        for language, cells in cells_by_language.items()
    ]
    if len(panels) > 1:
        made.append(
            Figure(
                f"scaling-languages{suffix}",
                "Scaling by language",
                "As above, for each language.",
                draw(panels, title="Score against cost by language"),
                [_language_table(comparison, panel.title) for panel in panels],
            )
        )
    return made


def _language_table(comparison: Comparison, language: str) -> compared.Table:
    table = compared.tables(comparison, language)[0]
    return replace(table, title=f"{language}: {table.title}")


def _curves_of(
    cells: Sequence[ComparisonCell],
    value: Callable[[ComparisonCell], Estimate | None],
    scale: Scale,
    *,
    signed: bool = False,
) -> list[Curve]:
    """One curve per selector, without those that have no value (the baseline's gain over itself)."""
    is_priced = _is_priced(cells)
    points: dict[str, list[Point]] = {}
    for cell in cells:
        at = points.setdefault(cell.select, [])
        found = value(cell)
        if found is not None:
            tip = f"{cell.select}, n = {cell.n}: {scale.interval(found, signed=signed)}"
            x = float(cell.n)
            if is_priced:
                x = _tokens(cell)
                tip += f", {count(x)} tokens per prompt"
            at.append(Point(x, found, tip))
    return [Curve(spec, at) for spec, at in points.items() if at]


def _is_priced(cells: Sequence[ComparisonCell]) -> bool:
    """Whether the record says what the candidates cost; else the axis counts draws."""
    return all(_tokens(cell) > 0 for cell in cells)


def _tokens(cell: ComparisonCell) -> float:
    return sum(t.total for t in cell.usage.values())


def _runs_by_cost(found: Findings) -> list[Figure]:
    scale, everyone = score_scale(found), range(len(found.ids))
    drawn: list[Curve] = []
    for run in found.runs:
        mean, tokens = mean_of(found, run, everyone), run.tokens_per_prompt
        if mean is None or tokens == 0:
            continue
        shown = mean.text(scale, of=run.num_prompts)
        tip = f"{run.label}: {shown}, {count(round(tokens, 1))} tokens per prompt"
        drawn.append(Curve(run.label, [Point(tokens, mean.estimate, tip)], is_joined=False))
    if not drawn:
        return []
    drawing = curves(
        [Panel("", drawn)],
        title="Score against cost",
        x_title=TOKENS_TITLE,
        y_title=score_name(found.score),
        scale=scale,
        log=True,
    )
    caption = (
        "Each run at its measured cost. For curves over pool sizes:  nbest compare RUN --select … --out DIR."
    )
    return [Figure("scaling", "Score against measured cost", caption, drawing, [])]
