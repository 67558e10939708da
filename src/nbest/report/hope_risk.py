"""How far up and down from the greedy answer the candidates of a pool reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nbest.evaluate.estimators import mean_interval
from nbest.evaluate.intervals import Floats
from nbest.report import charts
from nbest.report.charts import Span
from nbest.report.figure import Figure
from nbest.report.findings import Drawn, Findings
from nbest.report.table import Scale, Table, count, score_name


def hope_and_risk(found: Findings, scale: Scale) -> list[Figure]:
    """Per language and pool; against greedy where every pool's prompt has a greedy answer somewhere."""
    greedy = [next((d.greedy for d in pools if d.greedy is not None), None) for pools in found.pools]
    with_greedy = [g is not None for g, pools in zip(greedy, found.pools, strict=True) if pools]
    if not with_greedy:
        return []
    is_greedy_known = all(with_greedy)
    languages: list[str | None] = [None, *found.known_languages] if len(found.known_languages) > 1 else [None]
    rows: list[tuple[str, dict[str, Span]]] = []
    table: list[tuple[str, ...]] = []
    for lang in languages:
        numbers = [i for i, at in enumerate(found.languages) if lang is None or at == lang]
        by_series: dict[str, Span] = {}
        for name, parts in _series(found, numbers).items():
            base = np.array(
                [greedy[i] if is_greedy_known else scores.mean() for i, scores in parts], dtype=np.float64
            )
            clusters = [found.clusters[i] for i, _ in parts]
            risk, mean, hope = (
                mean_interval(np.array([f(scores) for _, scores in parts]) - base, clusters=clusters)
                for f in (np.min, np.mean, np.max)
            )
            spread = float(np.mean([scores.std() for _, scores in parts]))
            shown = [scale.interval(e, signed=True) for e in (risk, mean, hope)]
            tip = f"{name}, {lang or 'all'}: risk {shown[0]}, mean {shown[1]}, hope {shown[2]}"
            by_series[name] = Span(risk.value, mean.value, hope.value, tip)
            table.append((lang or "all", name, count(len(parts)), *shown, scale.number(spread)))
        rows.append((lang or "all", by_series))
    if not any(by_series for _, by_series in rows):
        return []
    than = "the greedy answer" if is_greedy_known else "the mean of the pool (no greedy answer is recorded)"
    drawing = charts.spans(
        rows,
        title="Hope and risk",
        x_title=f"{score_name(found.score)}: difference from {than}",
        scale=scale,
    )
    caption = (
        f"From the worst to the best candidate of a pool, against {than}, mean over prompts; the mark is the mean"
        " candidate (arXiv 2506.20544). Larger pools reach further both ways: compare pools of one size."
    )
    columns = ("language", "pool", "prompts", "risk", "mean", "hope", "spread in a pool")
    behind = Table(title="Hope and risk", columns=columns, rows=tuple(table), num_text_columns=2)
    return [Figure("hope-risk", "Hope and risk", caption, drawing, [behind])]


def _series(found: Findings, numbers: Sequence[int]) -> dict[str, list[tuple[int, Floats]]]:
    """(prompt, scores) by pool, and by temperature where a pool has two or more draws at several of them."""
    series: dict[str, list[tuple[int, Floats]]] = {}
    for i in numbers:
        for drawn in found.pools[i]:
            if drawn.scores.size < 2:  # noqa: PLR2004
                continue
            run = found.runs[drawn.run]
            name = run.sampler or run.label
            series.setdefault(name, []).append((i, drawn.scores))
            parts = _by_temperature(drawn)
            if len(parts) > 1:
                for temperature, scores in parts.items():
                    series.setdefault(f"{name} at T = {temperature:g}", []).append((i, scores))
    return series


def _by_temperature(drawn: Drawn) -> dict[float, Floats]:
    temperatures = [t for t in drawn.temperatures if t]
    return {
        t: drawn.scores[[u == t for u in drawn.temperatures]]
        for t in sorted(set(temperatures))
        if temperatures.count(t) > 1
    }
