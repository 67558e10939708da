"""Selectors against each other at every pool size, from one recorded pool: no new token.

Each prompt's draws are put into random orders; the pool of size n is the first n of an order. So larger pools
contain smaller ones, every selector sees the same pools, and differences are paired.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import cast

import numpy as np

from nbest import registry
from nbest.datasets import Pool
from nbest.errors import CapabilityError, InputError
from nbest.evaluate.comparison import MEAN, Comparison, ComparisonCell, Tokens
from nbest.evaluate.estimators import Estimate, mean_interval, pool_sizes
from nbest.evaluate.ingestion import choice_score
from nbest.evaluate.intervals import Floats
from nbest.evaluate.recorded_draws import draws_of, is_evidence
from nbest.evaluate.scores import cluster_of, failed_score, is_accuracy, scores_of
from nbest.evaluate.subsets import subsets, usage_of
from nbest.evaluate.utility_cache import CachedUtility, with_cached_utilities
from nbest.protocols import Scorer, Selector
from nbest.run import select
from nbest.types import Candidate, Usage


async def compare(
    pools: Iterable[Pool],
    selectors: Sequence[str],
    *,
    scorer: Scorer,
    sizes: Sequence[int] | None = None,
    baseline: str | None = None,
    cluster: str | None = None,
    resamples: int = 8,
    seed: int = 0,
    on_prompt: Callable[[], object] = lambda: None,
) -> Comparison:
    """Every selector at every pool size (by default 1, 2, 4, … and all of the smallest pool).

    `pools` are gone through twice where no sizes are given, one at a time. Sizes count draws (`draws_of`). A
    size below N is estimated from `resamples` random pools per prompt, drawn without replacement; N itself is
    one pool, chosen from as `nbest select` does with the same seed. A greedy draw (temperature 0) is in every
    pool, as in every smaller pool of its sampler; evidence in other languages stands beside every pool and
    counts in none; candidates made from others (fused, revised) are left out. The baseline is the first
    selector unless named; "mean" is the mean of all draws. Intervals are over prompts; those with the same
    value in the column `cluster` of their rows are drawn together.

    Raises `InputError` where no prompt is left, `SpecError` for a wrong spec, and `CapabilityError` where
    the record lacks what a selector reads.
    """
    if resamples < 1:
        raise InputError("`resamples` must be at least 1")
    if isinstance(pools, Iterator):
        pools = list(pools)
    built = {spec: registry.parse("selectors", spec) for spec in dict.fromkeys(selectors)}
    against = baseline or next(iter(built))
    if against not in built and against != MEAN:
        built = {against: registry.parse("selectors", against), **built}
    plan = _Plan(built, scorer, _sizes(pools, sizes), resamples, seed)

    rows: list[_Row] = []
    num_pools = num_too_small = 0
    for pool in pools:
        num_pools += 1
        if len(draws_of(pool.candidates, pool.prompt)) < max(plan.sizes):
            num_too_small += 1
            continue
        row = await _row(pool, plan)
        if row is not None:
            row.cluster = cluster_of(pool, cluster)
            rows.append(row)
        on_prompt()
    num_unscored = num_pools - num_too_small - len(rows)
    if not rows:
        raise InputError(
            f"no prompt to compare on: of {num_pools}, {num_too_small} have fewer than {max(plan.sizes)} draws"
            f" (whole answers in the prompt's language), and {num_unscored} have no score for each of them"
        )
    return Comparison(
        score=registry.spec_of(scorer),
        baseline=against,
        seed=seed,
        num_prompts=len(rows),
        num_too_small=num_too_small,
        num_unscored=num_unscored,
        cells=tuple(_cells(rows, plan, against)),
    )


@dataclass(frozen=True)
class _Plan:
    """What is done with each prompt."""

    selectors: Mapping[str, Selector]
    scorer: Scorer
    sizes: Sequence[int]
    resamples: int
    seed: int


@dataclass
class _Row:
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
        return self.mean if baseline == MEAN else self.score[baseline, n]


def _sizes(pools: Iterable[Pool], given: Sequence[int] | None) -> list[int]:
    if given is not None:
        if not given or min(given) < 1:
            raise InputError("`sizes` must be numbers of draws from 1")
        return sorted(set(given))
    nums = (len(draws_of(pool.candidates, pool.prompt)) for pool in pools)
    return pool_sizes(min((num for num in nums if num), default=1))


async def _row(pool: Pool, plan: _Plan) -> _Row | None:
    """None where a draw has no score."""
    draws = draws_of(pool.candidates, pool.prompt)
    evidence = [c for c in pool.candidates if is_evidence(c, pool.prompt) and not c.parents]
    try:
        scores = await scores_of(pool, plan.scorer, (*draws, *evidence))
    except CapabilityError:  # the prompt's row lacks what the scorer reads
        return None
    known = [scores[c.id] for c in draws]
    if None in known:
        return None

    row = _Row(pool.prompt.language, fsum(cast("list[float]", known)) / len(known))
    texts = [c.text for c in (*draws, *evidence) if c.is_usable]
    caches: dict[str, CachedUtility] = {}
    cached = {spec: with_cached_utilities(s, texts, caches) for spec, s in plan.selectors.items()}
    for n in plan.sizes:
        parts = subsets(draws, n, plan.resamples, plan.seed, pool.prompt.id)
        row.num_orders[n] = len(parts)
        for spec, selector in cached.items():
            chosen = [
                await _choice(pool, (*part, *evidence), selector, scores, plan, order)
                for order, part in enumerate(parts)
            ]
            row.score[spec, n] = fsum(c.score for c in chosen) / len(chosen)
            row.usage[spec, n] = _mean_usage([c.usage for c in chosen])
            row.num_failed[spec, n] = sum(c.is_failed for c in chosen)
    return row


@dataclass(frozen=True)
class _Choice:
    """What one selector made of one part of one pool."""

    score: float
    usage: Mapping[str, Usage]
    is_failed: bool


async def _choice(
    pool: Pool,
    part: tuple[Candidate, ...],
    selector: Selector,
    scores: Mapping[int, float | None],
    plan: _Plan,
    order: int,
) -> _Choice:
    smaller = pool._replace(candidates=part, usage={})
    outcome = await select(smaller, selector, seed=plan.seed + order)
    score = await choice_score(outcome.selection, smaller, scores, plan.scorer)
    if score is None:  # an answer made just now, that nothing tells the score of
        score = failed_score(plan.scorer, [scores[c.id] for c in draws_of(part, pool.prompt)])
    assert score is not None
    usage = {**outcome.usage, "policy": usage_of(part, pool.candidates)}
    return _Choice(score, usage, outcome.selection is None)


def _mean_usage(usages: Sequence[Mapping[str, Usage]]) -> dict[str, Tokens]:
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


def _cells(rows: Sequence[_Row], plan: _Plan, baseline: str) -> Iterator[ComparisonCell]:
    """Over all prompts, then by language where there are several."""
    languages = sorted({row.language or "" for row in rows})
    groups: list[str | None] = [None]
    if len(languages) > 1:
        groups += [language for language in languages if language]
    is_share = is_accuracy(registry.spec_of(plan.scorer))
    for language in groups:
        members = [row for row in rows if language is None or row.language == language]
        for spec in plan.selectors:
            for n in plan.sizes:
                yield _cell(members, spec, n, language, baseline, is_share=is_share)


def _cell(
    rows: Sequence[_Row], spec: str, n: int, language: str | None, baseline: str, *, is_share: bool
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
