"""From prompts to the cells of a comparison: means over prompts, by selector, pool size and language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

import numpy as np

from nbest.evaluate.comparison import MEAN, ComparisonCell, Tokens
from nbest.evaluate.confidence import Estimate, Floats
from nbest.evaluate.intervals import mean_interval
from nbest.types import Usage


@dataclass
class ComparedPrompt:
    """One prompt: mean score and spending at each (selector, n), over the orders."""

    language: str | None
    mean: float
    """Of the draws."""
    cluster: str = ""
    score: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])
    usage: dict[tuple[str, int], dict[str, Tokens]] = field(
        default_factory=dict[tuple[str, int], dict[str, Tokens]]
    )
    num_failed: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    num_orders: dict[int, int] = field(default_factory=dict[int, int])

    def baseline_score(self, baseline: str, n: int) -> float:
        if baseline == MEAN:
            return self.mean
        return self.score[baseline, n]


def mean_usage(usages: Sequence[Mapping[str, Usage]]) -> dict[str, Tokens]:
    """Per role; a role without a call in some of the parts spent nothing there."""
    by_role: defaultdict[str, list[Usage]] = defaultdict(list)
    for usage in usages:
        for role, spent in usage.items():
            by_role[role].append(spent)
    return {role: _mean_tokens(spent, len(usages)) for role, spent in by_role.items()}


def _mean_tokens(usages: Sequence[Usage], num: int) -> Tokens:
    total = sum(usages, Usage())
    return Tokens(
        prompt=total.prompt / num,
        cached=total.cached / num,
        completion=total.completion / num,
        calls=total.calls / num,
    )


def cells(
    rows: Sequence[ComparedPrompt],
    baseline: str,
    *,
    selectors: Sequence[str],
    sizes: Sequence[int],
    is_share: bool,
) -> Iterator[ComparisonCell]:
    """Over all prompts, then by language where there are several.

    `is_share`: scores are right or wrong.
    """
    languages = sorted({row.language or "" for row in rows})
    groups: list[str | None] = [None]
    if len(languages) > 1:
        groups += [language for language in languages if language]
    for language in groups:
        members = [row for row in rows if language is None or row.language == language]
        for spec in selectors:
            for n in sizes:
                yield _cell(members, spec, n, language, baseline, is_share=is_share)


def _cell(
    rows: Sequence[ComparedPrompt], spec: str, n: int, language: str | None, baseline: str, *, is_share: bool
) -> ComparisonCell:
    values = np.array([row.score[spec, n] for row in rows])
    base = np.array([row.baseline_score(baseline, n) for row in rows])
    clusters = [row.cluster for row in rows]
    usages = [row.usage[spec, n] for row in rows]
    roles = sorted({role for usage in usages for role in usage})
    return ComparisonCell(
        select=spec,
        n=n,
        language=language,
        num_prompts=len(rows),
        num_orders=max(row.num_orders[n] for row in rows),
        value=mean_interval(values, clusters=clusters, is_share=is_share),
        gain=None if spec == baseline else _gain(values - base, clusters, n, baseline),
        usage={role: _mean([usage.get(role, Tokens()) for usage in usages]) for role in roles},
        num_failed=sum(row.num_failed[spec, n] for row in rows),
    )


def _gain(differences: Floats, clusters: Sequence[str], n: int, baseline: str) -> Estimate:
    """Exactly 0 among pools of one candidate, where every selector has the same choice."""
    if n == 1 and baseline != MEAN and not differences.any():
        return Estimate(0.0, 0.0, 0.0)
    return mean_interval(differences, clusters=clusters)


def _mean(tokens: Sequence[Tokens]) -> Tokens:
    return Tokens(**{f: fsum(getattr(t, f) for t in tokens) / len(tokens) for f in Tokens.__struct_fields__})
