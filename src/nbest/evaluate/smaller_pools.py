"""What a selector makes of smaller pools inside a recorded one: best@k of selectors that see the whole pool."""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from typing import Final, NamedTuple

from nbest.datasets import Pool
from nbest.errors import NbestError
from nbest.evaluate.estimators import pool_sizes
from nbest.evaluate.ingestion import MeasuredPrompt, choice_score
from nbest.evaluate.method import can_choose_again, method_of
from nbest.evaluate.recorded_draws import draws_of, is_evidence
from nbest.evaluate.scores import failed_score, pool_of
from nbest.evaluate.scoring_engines import ScoringEngines
from nbest.evaluate.subsets import subsets, usage_of
from nbest.evaluate.utility_cache import with_cached_utilities
from nbest.protocols import Engine, Scorer, Selector
from nbest.run import select
from nbest.types import Candidate, Usage

RESAMPLES: Final = 8
"""Random pools of each size per prompt."""


class Choosing(NamedTuple):
    """How choices from smaller pools are made and measured."""

    scorer: Scorer
    engines: ScoringEngines
    resamples: int = RESAMPLES
    seed: int = 0
    selector_engines: Mapping[str, Engine] | None = None
    """Those that selectors may ask; None for no engine."""


class Choice(NamedTuple):
    """What a selector made of one part of a pool."""

    score: float
    usage: Mapping[str, Usage]
    is_failed: bool


async def choices_from(
    pool: Pool, n: int, selector: Selector, scores: Mapping[int, float | None], how: Choosing
) -> list[Choice]:
    """Choices from `how.resamples` random parts with n of the pool's draws, or from the whole pool of n.

    `scores` are those of the draws, all of them known. A greedy draw is in every part; evidence in other languages
    stands beside every part. A choice that comes to nothing scores what a failed draw does.
    """
    draws = draws_of(pool.candidates, pool.prompt)
    evidence = [c for c in pool.candidates if is_evidence(c, pool.prompt) and not c.parents]
    parts = subsets(draws, n, how.resamples, how.seed, pool.prompt.id)
    return [
        await _choice(pool, (*part, *evidence), selector, scores, how, order)
        for order, part in enumerate(parts)
    ]


async def best_of_smaller(
    prompt: MeasuredPrompt, how: Choosing, *, chooses_again: bool = True
) -> dict[str, float]:
    """`best@k` for k = 1, 2, 4, … and all draws, where the method's selector can choose again from the record.

    Its choice from all draws is the recorded one, and without `chooses_again` the only one. Empty where the
    selector needs a model, a scorer's value is not known, or the answer was made from others.
    """
    outcome = prompt.outcome
    if not can_choose_again(outcome.strategy):
        return {}
    is_from_draws = outcome.selection is not None and outcome.selection.winner.id in prompt.scores
    if prompt.draw_scores is None or prompt.value is None or not is_from_draws:
        return {}
    *smaller, num_draws = pool_sizes(len(prompt.draws))
    if not chooses_again:
        return {f"best@{num_draws}": prompt.value}

    method = method_of(outcome.strategy)
    assert method.selector is not None
    texts = [c.text for c in outcome.candidates if c.is_usable]
    selector = with_cached_utilities(method.selector, texts, {})
    found: dict[str, float] = {}
    for k in smaller:
        try:
            choices = await choices_from(pool_of(outcome), k, selector, prompt.scores, how)
        except NbestError:  # the record lacks what the selector reads
            return {}
        found[f"best@{k}"] = fsum(choice.score for choice in choices) / len(choices)
    return {**found, f"best@{num_draws}": prompt.value}


async def _choice(
    pool: Pool,
    part: tuple[Candidate, ...],
    selector: Selector,
    scores: Mapping[int, float | None],
    how: Choosing,
    order: int,
) -> Choice:
    smaller = pool._replace(candidates=part, usage={})
    outcome = await select(smaller, selector, seed=how.seed + order, engines=how.selector_engines)
    score = await choice_score(outcome.selection, smaller, scores, how.scorer, engines=how.engines)
    if score is None:  # an answer made just now, that nothing tells the score of
        score = failed_score(how.scorer, [scores[c.id] for c in draws_of(part, pool.prompt)])
    assert score is not None
    usage = {**outcome.usage, "policy": usage_of(part, pool.candidates)}
    return Choice(score, usage, outcome.selection is None)
