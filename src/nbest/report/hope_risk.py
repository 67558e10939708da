"""How far up and down from the greedy answer the draws of a pool reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nbest.evaluate.confidence import Floats
from nbest.evaluate.estimators import Estimate, mean_interval
from nbest.report import charts
from nbest.report.charts import Span
from nbest.report.figure import Figure
from nbest.report.findings import Drawn, Findings
from nbest.report.table import Scale, Table, count, score_name

_COLUMNS = ("language", "pool", "prompts", "risk", "mean", "hope", "spread in a pool")


class _Reach(NamedTuple):
    """The worst, mean and best draw against the base, mean over P prompts."""

    num_prompts: int
    risk: Estimate
    mean: Estimate
    hope: Estimate
    spread: float
    """Mean standard deviation in a pool."""


def hope_and_risk(found: Findings, scale: Scale) -> list[Figure]:
    """Per language and pool; against greedy where every pool's prompt has a greedy answer somewhere."""
    greedy = _greedy_by_number(found)
    drawn = [i for i, pools in enumerate(found.pools) if pools]
    against = None
    if all(i in greedy for i in drawn):
        against = greedy
    languages: list[str | None] = [None]
    if len(found.known_languages) > 1:
        languages += found.known_languages

    rows: list[tuple[str, dict[str, Span]]] = []
    table: list[tuple[str, ...]] = []
    for language in languages:
        numbers = [i for i in drawn if language in {None, found.languages[i]}]
        by_series: dict[str, Span] = {}
        for name, pools in _series(found, numbers).items():
            reach = _reach(found, pools, against)
            cells = [scale.interval(e, signed=True) for e in (reach.risk, reach.mean, reach.hope)]
            tip = f"{name}, {language or 'all'}: risk {cells[0]}, mean {cells[1]}, hope {cells[2]}"
            by_series[name] = Span(reach.risk.value, reach.mean.value, reach.hope.value, tip)
            table.append(
                (language or "all", name, count(reach.num_prompts), *cells, scale.number(reach.spread))
            )
        rows.append((language or "all", by_series))
    if not table:
        return []

    than = "the greedy answer"
    if against is None:
        than = "the mean of the pool (no greedy answer is recorded)"
    drawing = charts.spans(
        rows,
        title="Hope and risk",
        x_title=f"{score_name(found.score)}: difference from {than}",
        scale=scale,
    )
    caption = (
        f"From the worst to the best draw of a pool, against {than}, mean over prompts; the mark is the mean"
        " draw (arXiv 2506.20544). Larger pools reach further both ways: compare pools of one size."
    )
    behind = Table(title="Hope and risk", columns=_COLUMNS, rows=tuple(table), num_text_columns=2)
    return [Figure("hope-risk", "Hope and risk", caption, drawing, [behind])]


def _greedy_by_number(found: Findings) -> dict[int, float]:
    """Score of the greedy answer, of the prompts that have one in some pool."""
    greedy: dict[int, float] = {}
    for number, pools in enumerate(found.pools):
        for drawn in pools:
            if drawn.greedy is not None:
                greedy.setdefault(number, drawn.greedy)
    return greedy


def _reach(found: Findings, pools: Sequence[tuple[int, Floats]], greedy: dict[int, float] | None) -> _Reach:
    """`pools` are (prompt, scores); without `greedy` the base is the mean of each pool."""
    base_P = np.array([scores.mean() for _, scores in pools])
    if greedy is not None:
        base_P = np.array([greedy[i] for i, _ in pools])
    clusters = [found.clusters[i] for i, _ in pools]
    ends_P3 = np.array([(scores.min(), scores.mean(), scores.max()) for _, scores in pools])
    risk, mean, hope = (mean_interval(column - base_P, clusters=clusters) for column in ends_P3.T)
    spread = float(np.mean([scores.std() for _, scores in pools]))
    return _Reach(len(pools), risk, mean, hope, spread)


def _series(found: Findings, numbers: Sequence[int]) -> dict[str, list[tuple[int, Floats]]]:
    """(prompt, scores) by pool, and by temperature where a pool has two or more draws at several of them."""
    series: defaultdict[str, list[tuple[int, Floats]]] = defaultdict(list)
    pools = [(i, drawn) for i in numbers for drawn in found.pools[i] if drawn.scores.size > 1]
    for i, drawn in pools:
        run = found.runs[drawn.run]
        name = run.sampler or run.label
        series[name].append((i, drawn.scores))
        parts = _by_temperature(drawn)
        if len(parts) > 1:
            for temperature, scores in parts.items():
                series[f"{name} at T = {temperature:g}"].append((i, scores))
    return dict(series)


def _by_temperature(drawn: Drawn) -> dict[float, Floats]:
    """Scores of the draws at each temperature above 0 that two or more have."""
    temperatures = [t for t in drawn.temperatures if t]
    repeated = sorted({t for t in temperatures if temperatures.count(t) > 1})
    return {t: drawn.scores[[u == t for u in drawn.temperatures]] for t in repeated}
