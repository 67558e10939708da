"""Selectors against each other at every pool size, from one recorded pool: no new token.

Each prompt's draws are put into random orders; the pool of size n is the first n of an order. So larger pools
contain smaller ones, every selector sees the same pools, and differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import fsum
from typing import Final, cast

from nbest import registry
from nbest.datasets import Pool
from nbest.errors import CapabilityError, InputError, MissingEngineError
from nbest.evaluate.comparison import MEAN, Comparison
from nbest.evaluate.comparison_cells import ComparedPrompt, cells, mean_usage
from nbest.evaluate.estimators import pool_sizes
from nbest.evaluate.recorded_draws import draws_of, is_evidence
from nbest.evaluate.scores import cluster_of, is_accuracy, scores_of
from nbest.evaluate.scoring_engines import ScoringEngines
from nbest.evaluate.smaller_pools import RESAMPLES, Choosing, choices_from
from nbest.evaluate.utility_cache import CachedUtility, with_cached_utilities
from nbest.protocols import Scorer, Selector

_BATCH: Final = 256


async def compare(
    pools: Iterable[Pool],
    selectors: Sequence[str],
    *,
    scorer: Scorer,
    sizes: Sequence[int] | None = None,
    baseline: str | None = None,
    cluster: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    engines: ScoringEngines | None = None,
    on_prompt: Callable[[], object] = lambda: None,
) -> Comparison:
    """Every selector at every pool size (by default 1, 2, 4, … and all of the smallest pool).

    `pools` are gone through twice where no sizes are given, one at a time. Sizes count draws (`draws_of`). A
    size below N is estimated from `resamples` random pools per prompt, drawn without replacement; N itself is
    one pool, chosen from as `nbest select` does with the same seed. A greedy draw (temperature 0) is in every
    pool, as in every smaller pool of its sampler; evidence in other languages stands beside every pool and
    counts in none; candidates made from others (fused, revised) are left out. The baseline is the first
    selector unless named; "mean" is the mean of all draws. Intervals are over prompts; those with the same
    value in the column `cluster` of their rows are drawn together. `engines` is for selectors and scorers that
    ask a model; without it none is asked.

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
    asked = engines or ScoringEngines()
    how = Choosing(scorer, asked, resamples, seed, selector_engines=asked.engines)
    plan = _Plan(built, _sizes(pools, sizes), cluster, how)

    rows: list[ComparedPrompt] = []
    num_pools = num_too_small = 0
    for batch in _batches(pools):
        large = [pool for pool in batch if _num_draws(pool) >= max(plan.sizes)]
        num_pools += len(batch)
        num_too_small += len(batch) - len(large)
        for row in await asked.in_order(large, partial(_row, plan)):
            if row is not None:
                rows.append(row)
            on_prompt()
    num_unscored = num_pools - num_too_small - len(rows)
    scoring = asked.take()
    if not rows:
        why = "".join(f"; {note}" for note in scoring.notes)
        raise InputError(
            f"no prompt to compare on: of {num_pools}, {num_too_small} have fewer than {max(plan.sizes)} draws"
            f" (whole answers in the prompt's language), and {num_unscored} have no score for each of them{why}"
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
        scoring=scoring.usage,
    )


@dataclass(frozen=True)
class _Plan:
    """What is done with each prompt."""

    selectors: Mapping[str, Selector]
    sizes: Sequence[int]
    cluster: str | None
    how: Choosing


def _sizes(pools: Iterable[Pool], given: Sequence[int] | None) -> list[int]:
    if given is not None:
        if not given or min(given) < 1:
            raise InputError("`sizes` must be numbers of draws from 1")
        return sorted(set(given))
    nums = map(_num_draws, pools)
    return pool_sizes(min((num for num in nums if num), default=1))


def _num_draws(pool: Pool) -> int:
    return len(draws_of(pool.candidates, pool.prompt))


def _batches(pools: Iterable[Pool]) -> Iterator[list[Pool]]:
    """So many pools are in memory at a time."""
    waiting = iter(pools)
    return iter(lambda: list(islice(waiting, _BATCH)), [])


async def _row(plan: _Plan, pool: Pool) -> ComparedPrompt | None:
    """None where a draw has no score."""
    draws = draws_of(pool.candidates, pool.prompt)
    evidence = [c for c in pool.candidates if is_evidence(c, pool.prompt) and not c.parents]
    try:
        scores = await scores_of(pool, plan.how.scorer, (*draws, *evidence), engines=plan.how.engines)
    except MissingEngineError:
        raise
    except CapabilityError:  # the prompt's row lacks what the scorer reads
        return None
    known = [scores[c.id] for c in draws]
    if None in known:
        return None

    row = ComparedPrompt(pool.prompt.language, fsum(cast("list[float]", known)) / len(known))
    row.cluster = cluster_of(pool, plan.cluster)
    texts = [c.text for c in (*draws, *evidence) if c.is_usable]
    caches: dict[str, CachedUtility] = {}
    cached = {spec: with_cached_utilities(s, texts, caches) for spec, s in plan.selectors.items()}
    for n in plan.sizes:
        for spec, selector in cached.items():
            chosen = await choices_from(pool, n, selector, scores, plan.how)
            row.num_orders[n] = len(chosen)
            row.score[spec, n] = fsum(c.score for c in chosen) / len(chosen)
            row.usage[spec, n] = mean_usage([c.usage for c in chosen])
            row.num_failed[spec, n] = sum(c.is_failed for c in chosen)
    return row
