"""What a report shows: each figure with the table behind it, from findings and comparisons alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nbest.accounting.costs import Costs
from nbest.evaluate.comparison import Comparison
from nbest.evaluate.estimators import difficulty_bins
from nbest.report import charts
from nbest.report.cost import cost
from nbest.report.curves import Curve, Panel, Point, curves
from nbest.report.figure import Figure, Mean, baseline_of, gain_of, mean_of, score_scale
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
    return [*made, cost(found, costs or Costs())]


def _methods(found: Findings, against: Run | None) -> Figure:
    """One row a run: score, gain, tokens, failures."""
    has_truncated = any(run.num_truncated for run in found.runs)
    columns = ["method", "prompts"]
    if against:
        columns += [score_name(found.score), f"gain over {against.label}"]
    columns += ["output tokens", "input tokens", "calls", "no answer"]
    if has_truncated:
        columns.append("truncated")
    columns.append("seconds")

    rows: list[tuple[str, ...]] = []
    for run in found.runs:
        spent = sum(run.usage.values(), Usage())
        per_prompt = [v / run.num_prompts for v in (spent.completion, spent.prompt, spent.calls)]
        row = [run.label, count(run.num_prompts)]
        if against:
            row += _score_and_gain(found, run, against)
        row += [count(round(v, 1)) for v in per_prompt]
        row.append(count(run.num_failed))
        if has_truncated:
            row.append(count(run.num_truncated))
        row.append(f"{run.seconds / run.num_prompts:.2f}")
        rows.append(tuple(row))
    note = (
        "Tokens, calls and seconds per prompt, over all roles. 95 % intervals; a single prompt or cluster has none."
        " Differences are paired by what prompts ask."
    )
    if has_truncated:
        note += " Truncated: chosen answers that were cut off at max_tokens; they may be graded by a number on the way."
    table = Table(title="Methods", columns=tuple(columns), rows=tuple(rows), note=note)
    return Figure("methods", "Methods", "", None, [table])


def _score_and_gain(found: Findings, run: Run, against: Run) -> list[str]:
    scale, everyone = score_scale(found), range(len(found.ids))
    gain = None
    if run is not against:
        gain = gain_of(found, run, against, everyone)
    return [
        _text(mean_of(found, run, everyone), scale, of=run.num_prompts),
        _text(gain, scale, of=run.num_prompts, signed=True),
    ]


def _text(mean: Mean | None, scale: Scale, *, of: int, signed: bool = False) -> str:
    if mean is None:
        return "–"
    return mean.text(scale, of=of, signed=signed)


def _languages(found: Findings, scale: Scale, against: Run | None) -> list[Figure]:
    """Language × method as a heat map; none where there is one language."""
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
            cells.append(_text(mean, scale, of=len(numbers[lang])))
            if mean is not None:
                gain = None
                if run is not against:
                    gain = gain_of(found, run, against, numbers[lang])
                tip = f"{run.label}, {lang}: {cells[-1]}"
                if gain is not None:
                    tip += f"; {_text(gain, scale, of=len(numbers[lang]), signed=True)} over {against.label}"
                values[run.label, lang] = (mean.estimate.value, tip)
        rows.append((run.label, *cells))
    if not values:
        return []

    name = score_name(found.score)
    labels = [run.label for run in found.runs]
    drawing = charts.heatmap(labels, languages, values, title="Score by method and language", scale=scale)
    heads = tuple(f"{lang} ({len(numbers[lang])})" for lang in languages)
    note = "In brackets the number of prompts; a cell over fewer of them says so."
    table = Table(title=f"{name} by language", columns=("method", *heads), rows=tuple(rows), note=note)
    caption = f"{name}; the stronger the colour, the higher. Intervals and gains: point at a cell, or see the table."
    return [Figure("languages", "Language × method", caption, drawing, [table])]


def _difficulty(found: Findings, scale: Scale) -> list[Figure]:
    """Strata by the mean score of the prompt's draws: what this model finds easy."""
    members = _strata(found)
    if len(members) < 2:  # noqa: PLR2004
        return []
    names = [f"{k + 1}: {len(m)}" for k, m in enumerate(members)]
    names[0], names[-1] = f"easiest: {len(members[0])}", f"hardest: {len(members[-1])}"
    drawn: list[Curve] = []
    rows: list[tuple[str, ...]] = []
    for run in found.runs:
        means = [mean_of(found, run, m) for m in members]
        cells = [_text(mean, scale, of=len(m)) for mean, m in zip(means, members, strict=True)]
        points = [
            Point(k, mean.estimate, f"{run.label}, {names[k]}: {cells[k]}")
            for k, mean in enumerate(means)
            if mean is not None
        ]
        if points:
            drawn.append(Curve(run.label, points))
            rows.append((run.label, *cells))
    if not drawn:
        return []

    drawing = curves(
        [Panel("", drawn)],
        title="Score by difficulty",
        x_title="difficulty for this model: number of prompts",
        y_title=score_name(found.score),
        scale=scale,
        x_labels=names,
    )
    caption = (
        "Fifths of the prompts by the mean score of their draws (equal ones stay together). The same draws make the"
        " bins and the choices, so the ends lie a little too far apart; compare methods within a bin."
    )
    table = Table(title="By difficulty", columns=("method", *names), rows=tuple(rows))
    return [Figure("difficulty", "Difficulty strata", caption, drawing, [table])]


def _strata(found: Findings) -> list[list[int]]:
    """Numbers of the prompts of each bin, easiest first; empty where there are too few prompts."""
    numbers = [i for i, pools in enumerate(found.pools) if pools and pools[0].scores.size > 1]
    if len(numbers) < _FEWEST_IN_BIN * _NUM_BINS:
        return []
    bins = difficulty_bins(np.array([found.pools[i][0].scores.mean() for i in numbers]), _NUM_BINS).tolist()
    return [[i for i, b in zip(numbers, bins, strict=True) if b == k] for k in sorted(set(bins))]
