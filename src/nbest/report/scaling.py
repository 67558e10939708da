"""Score against measured cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from nbest.evaluate.comparison import Comparison, ComparisonCell
from nbest.report import charts, compared
from nbest.report.charts import Curve, Panel, Point
from nbest.report.figure import Figure, mean_of, score_scale
from nbest.report.findings import Findings
from nbest.report.table import Scale, count, score_name
from nbest.types import replace


def scaling(found: Findings, comparisons: Sequence[Comparison]) -> list[Figure]:
    """One figure per comparison, and one of the runs themselves where they differ in cost or stand alone."""
    made: list[Figure] = []
    for k, comparison in enumerate(comparisons):
        scale = Scale.of(comparison.score, [c.value.value for c in comparison.cells])
        by_language = {
            lang: Panel(lang or "", _curves_of(comparison, lang, scale))
            for lang in dict.fromkeys(c.language for c in comparison.cells)
        }
        specs = list(dict.fromkeys(c.select for c in comparison.cells))
        is_priced = all(_tokens(c) > 0 for c in comparison.cells)
        x_title = "tokens per prompt, read and drawn, all roles (log scale)" if is_priced else "candidates"
        suffix = f"-{k + 1}" if k else ""
        draw = partial(
            charts.curves, x_title=x_title, y_title=score_name(comparison.score), scale=scale, log=True
        )
        made.append(
            Figure(
                f"scaling{suffix}",
                "Scaling with measured cost",
                "Every method on the same random parts of the recorded pools. Whiskers: 95 % intervals over prompts.",
                draw([by_language[None]], title="Score against cost"),
                compared.tables(comparison),
            )
        )
        if gains := _gains_of(comparison, scale):
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
        panels = [p for lang, p in by_language.items() if lang is not None]
        if len(panels) > 1:
            tables = [
                replace(t, title=f"{p.title}: {t.title}")
                for p in panels
                for t in compared.tables(comparison, p.title)[:1]
            ]
            made.append(
                Figure(
                    f"scaling-languages{suffix}",
                    "Scaling by language",
                    "As above, for each language.",
                    draw(panels, title="Score against cost by language"),
                    tables,
                )
            )
    if found.score is not None and not comparisons:
        made += _runs_by_cost(found)
    return made


def _curves_of(comparison: Comparison, language: str | None, scale: Scale) -> list[Curve]:
    cells = [c for c in comparison.cells if c.language == language]
    is_priced = all(_tokens(c) > 0 for c in comparison.cells)
    return [
        Curve(
            spec,
            [
                Point(
                    _tokens(c) if is_priced else c.n,
                    c.value,
                    f"{spec}, n = {c.n}: {scale.interval(c.value)}, {count(_tokens(c))} tokens per prompt",
                )
                for c in cells
                if c.select == spec
            ],
        )
        for spec in dict.fromkeys(c.select for c in cells)
    ]


def _gains_of(comparison: Comparison, scale: Scale) -> list[Curve]:
    """As `_curves_of`, over the baseline, which has no curve; empty for the baseline alone."""
    cells = [c for c in comparison.cells if c.language is None]
    is_priced = all(_tokens(c) > 0 for c in comparison.cells)
    points = {
        spec: [
            Point(
                _tokens(c) if is_priced else c.n,
                c.gain,
                f"{spec}, n = {c.n}: {scale.interval(c.gain, signed=True)}",
            )
            for c in cells
            if c.select == spec and c.gain
        ]
        for spec in dict.fromkeys(c.select for c in cells)
    }
    return [Curve(spec, at) for spec, at in points.items() if at]


def _tokens(cell: ComparisonCell) -> float:
    return sum(t.total for t in cell.usage.values())


def _runs_by_cost(found: Findings) -> list[Figure]:
    scale, everyone = score_scale(found), range(len(found.ids))
    curves: list[Curve] = []
    for run in found.runs:
        value, cost = mean_of(found, run, everyone), sum(run.tokens.values()) / run.num_prompts
        if value and cost > 0:
            tip = f"{run.label}: {scale.interval(value)}, {count(round(cost, 1))} tokens per prompt"
            curves.append(Curve(run.label, [Point(cost, value, tip)], is_joined=False))
    if not curves:
        return []
    drawing = charts.curves(
        [Panel("", curves)],
        title="Score against cost",
        x_title="tokens per prompt, read and drawn, all roles (log scale)",
        y_title=score_name(found.score),
        scale=scale,
        log=True,
    )
    caption = (
        "Each run at its measured cost. For curves over pool sizes:  nbest compare RUN --select … --out DIR."
    )
    return [Figure("scaling", "Score against measured cost", caption, drawing, [])]
