"""What a report shows: each figure with the table behind it, from findings and comparisons alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nbest.accounting.costs import Costs, inference_flops
from nbest.evaluate.comparison import Comparison
from nbest.evaluate.estimators import difficulty_bins
from nbest.report import charts
from nbest.report.charts import Curve, Panel, Part, Point
from nbest.report.figure import Figure, baseline_of, gain_of, mean_of, score_scale
from nbest.report.findings import Findings, Run
from nbest.report.hope_risk import hope_and_risk
from nbest.report.scaling import scaling
from nbest.report.table import Scale, Table, count, score_name
from nbest.types import Usage

_NUM_BINS = 5
_FEWEST_IN_BIN = 5


def figures(
    found: Findings,
    comparisons: Sequence[Comparison] = (),
    *,
    baseline: str | None = None,
    costs: Costs | None = None,
) -> list[Figure]:
    """All that the records allow, in reading order."""
    against = baseline_of(found, baseline)
    made = [_methods(found, against), *scaling(found, comparisons)]
    if found.score is not None:
        scale = score_scale(found)
        made += [*_languages(found, scale, against), *hope_and_risk(found, scale)]
        made += _difficulty(found, scale)
    return [*made, _cost(found, costs or Costs())]


def _methods(found: Findings, against: Run | None) -> Figure:
    scale, everyone = score_scale(found), range(len(found.ids))
    columns = ["method", "prompts"]
    if against:
        columns += [score_name(found.score), f"gain over {against.label}"]
    columns += ["tokens drawn", "tokens read", "calls", "no answer", "seconds"]
    rows: list[tuple[str, ...]] = []
    for run in found.runs:
        spent = sum(run.usage.values(), Usage())
        row = [run.label, count(run.num_prompts)]
        if against:
            row.append(scale.interval(mean_of(found, run, everyone)))
            gain = None if run is against else gain_of(found, run, against, everyone)
            row.append(scale.interval(gain, signed=True))
        row += [count(round(v / run.num_prompts, 1)) for v in (spent.completion, spent.prompt, spent.calls)]
        rows.append((*row, count(run.num_failed), f"{run.seconds / run.num_prompts:.2f}"))
    note = (
        "Tokens, calls and seconds per prompt, over all roles. 95 % intervals; a single prompt or cluster has none."
        " Differences are paired by prompt."
    )
    table = Table(title="Methods", columns=tuple(columns), rows=tuple(rows), note=note)
    return Figure("methods", "Methods", "", None, [table])


def _languages(found: Findings, scale: Scale, against: Run | None) -> list[Figure]:
    languages = found.known_languages
    if len(languages) < 2 or against is None:  # noqa: PLR2004
        return []
    numbers = {lang: [i for i, at in enumerate(found.languages) if at == lang] for lang in languages}
    values: dict[tuple[str, str], tuple[float, str]] = {}
    rows: list[tuple[str, ...]] = []
    for run in found.runs:
        cells: list[str] = []
        for lang in languages:
            mean = mean_of(found, run, numbers[lang])
            cells.append(scale.interval(mean))
            if mean:
                gain = gain_of(found, run, against, numbers[lang])
                tip = f"{run.label}, {lang}: {scale.interval(mean)}"
                if run is not against:
                    tip += f"; {scale.interval(gain, signed=True)} over {against.label}"
                values[run.label, lang] = (mean.value, tip)
        rows.append((run.label, *cells))
    if not values:
        return []
    name = score_name(found.score)
    drawing = charts.heatmap(
        [r.label for r in found.runs], languages, values, title="Score by method and language", scale=scale
    )
    table = Table(title=f"{name} by language", columns=("method", *languages), rows=tuple(rows))
    caption = f"{name}; the stronger the colour, the higher. Intervals and gains: point at a cell, or see the table."
    return [Figure("languages", "Language × method", caption, drawing, [table])]


def _difficulty(found: Findings, scale: Scale) -> list[Figure]:
    """Strata by the mean score of the prompt's candidates: what this model finds easy."""
    numbers = [i for i, pools in enumerate(found.pools) if pools and pools[0].scores.size > 1]
    if len(numbers) < _FEWEST_IN_BIN * _NUM_BINS:
        return []
    bins = difficulty_bins(np.array([found.pools[i][0].scores.mean() for i in numbers]))
    members = [[i for i, b in zip(numbers, bins, strict=True) if b == k] for k in sorted(set(bins.tolist()))]
    if len(members) < 2:  # noqa: PLR2004
        return []
    names = [f"{k + 1}: {len(m)}" for k, m in enumerate(members)]
    names[0], names[-1] = f"easiest: {len(members[0])}", f"hardest: {len(members[-1])}"
    curves: list[Curve] = []
    rows: list[tuple[str, ...]] = []
    for run in found.runs:
        means = [mean_of(found, run, m) for m in members]
        points = [
            Point(k, e, f"{run.label}, {names[k]}: {scale.interval(e)}") for k, e in enumerate(means) if e
        ]
        if points:
            curves.append(Curve(run.label, points))
            rows.append((run.label, *(scale.interval(e) for e in means)))
    if not curves:
        return []
    drawing = charts.curves(
        [Panel("", curves)],
        title="Score by difficulty",
        x_title="difficulty for this model: number of prompts",
        y_title=score_name(found.score),
        scale=scale,
        x_labels=names,
    )
    caption = (
        "Fifths of the prompts by the mean score of their candidates (equal ones stay together). The same candidates make the bins and the"
        " choices, so the ends lie a little too far apart; compare methods within a bin."
    )
    table = Table(title="By difficulty", columns=("method", *names), rows=tuple(rows))
    return [Figure("difficulty", "Difficulty strata", caption, drawing, [table])]


def _cost(found: Findings, costs: Costs) -> Figure:
    rows: list[tuple[str, list[Part]]] = []
    table: list[tuple[str, ...]] = []
    for run in found.runs:
        parts: list[Part] = []
        for role, u in sorted(run.usage.items()):
            per = [v / run.num_prompts for v in (u.prompt - u.cached, u.completion, u.cached, u.calls)]
            parts += [Part(f"{role} read", per[0], is_light=True), Part(f"{role} drawn", per[1])]
            row = (run.label, role, *(count(round(v, 1)) for v in per))
            size = costs.sizes.get(role, costs.sizes.get("policy"))
            flops = f"{inference_flops(u, size) / run.num_prompts:.2e}" if size else "–"
            table.append((*row, flops) if costs.sizes else row)
        rows.append((run.label, parts))
    is_spent = any(p.value > 0 for _, parts in rows for p in parts)
    drawing = charts.bars(rows, title="Tokens by role", x_title="tokens per prompt") if is_spent else None
    columns = ("method", "role", "read", "drawn", "read from cache", "calls")
    columns += ("FLOPs",) if costs.sizes else ()
    behind = Table(title="Cost per prompt", columns=columns, rows=tuple(table), num_text_columns=2)
    caption = (
        "What each prompt cost, as metered. A choice made later from a recorded pool is charged for the pool."
        if is_spent
        else "The records say nothing about tokens."
    )
    return Figure("cost", "Cost by role", caption, drawing, [behind])
