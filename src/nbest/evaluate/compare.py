"""Selectors against each other at every pool size, from one recorded pool: no new token.

Each prompt's draws are put into random orders; the pool of size n is the first n of an order. So larger pools
contain smaller ones, every selector sees the same pools, and differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import cast

from nbest import registry
from nbest.datasets import Pool
from nbest.errors import CapabilityError, InputError
from nbest.evaluate.comparison import MEAN, Comparison
from nbest.evaluate.comparison_cells import ComparedPrompt, cells, mean_usage
from nbest.evaluate.estimators import pool_sizes
from nbest.evaluate.ingestion import choice_score
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

    rows: list[ComparedPrompt] = []
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
    score = registry.spec_of(scorer)
    found = cells(rows, against, selectors=list(built), sizes=plan.sizes, is_share=is_accuracy(score))
    return Comparison(
        score=score,
        baseline=against,
        seed=seed,
        num_prompts=len(rows),
        num_too_small=num_too_small,
        num_unscored=num_unscored,
        cells=tuple(found),
    )


@dataclass(frozen=True)
class _Plan:
    """What is done with each prompt."""

    selectors: Mapping[str, Selector]
    scorer: Scorer
    sizes: Sequence[int]
    resamples: int
    seed: int


def _sizes(pools: Iterable[Pool], given: Sequence[int] | None) -> list[int]:
    if given is not None:
        if not given or min(given) < 1:
            raise InputError("`sizes` must be numbers of draws from 1")
        return sorted(set(given))
    nums = (len(draws_of(pool.candidates, pool.prompt)) for pool in pools)
    return pool_sizes(min((num for num in nums if num), default=1))


async def _row(pool: Pool, plan: _Plan) -> ComparedPrompt | None:
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

    row = ComparedPrompt(pool.prompt.language, fsum(cast("list[float]", known)) / len(known))
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
            row.usage[spec, n] = mean_usage([c.usage for c in chosen])
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
