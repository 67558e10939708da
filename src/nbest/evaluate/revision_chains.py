"""Fewer and shorter chains inside recorded revisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from nbest import registry
from nbest.context import Context
from nbest.errors import SelectionError
from nbest.evaluate.scores import failed_score, pool_of, scores_of
from nbest.protocols import Scorer
from nbest.strategies.revise import Revise, choose_from_chains
from nbest.types import Candidate, Outcome


class SubChains(NamedTuple):
    """`revise(sequential=s, parallel=p)` for s and p of at most the recorded ones."""

    spec: str
    value_by_id: Mapping[str, float]
    """By prompt id, the mean over which chains they are."""
    tokens_by_id: Mapping[str, float]


async def sub_chains(strategy: Revise, outcomes: Sequence[Outcome], scorer: Scorer) -> list[SubChains]:
    """All pairs of powers of two; the recorded pair itself is left out.

    Of p chains of P, each run of neighbours in a circle is taken once. A verifier that asks an engine cannot score again
    here: then nothing is given.
    """
    if strategy.verifier is not None:
        return []
    found: list[SubChains] = []
    for sequential in _halves(strategy.sequential):
        for parallel in _halves(strategy.parallel):
            if (sequential, parallel) == (strategy.sequential, strategy.parallel):
                continue
            smaller = dataclasses.replace(strategy, sequential=sequential, parallel=parallel)
            found.append(await _measured(smaller, outcomes, scorer))
    return found


def _halves(most: int) -> list[int]:
    """1, 2, 4, … and the number itself."""
    return sorted({*(1 << i for i in range(most.bit_length()) if 1 << i <= most), most})


async def _measured(smaller: Revise, outcomes: Sequence[Outcome], scorer: Scorer) -> SubChains:
    value_by_id: dict[str, float] = {}
    tokens_by_id: dict[str, float] = {}
    for outcome in outcomes:
        assert outcome.selection is not None
        by_id = {c.id: c for c in outcome.candidates}
        recorded = cast("list[list[int]]", outcome.selection.details["chains"])
        chains = [[by_id[i] for i in chain[: smaller.sequential]] for chain in recorded]
        scores = await scores_of(pool_of(outcome), scorer)
        failed = failed_score(scorer, scores.values()) or 0.0

        values: list[float] = []
        tokens: list[float] = []
        for start in range(len(chains)):
            circle = (chains * 2)[start : start + smaller.parallel]
            values.append(await _value(smaller, circle, outcome, scores, failed))
            tokens.append(float(sum(c.usage.completion for chain in circle for c in chain)))
        value_by_id[outcome.prompt.id] = sum(values) / len(values)
        tokens_by_id[outcome.prompt.id] = sum(tokens) / len(tokens)
    return SubChains(registry.spec_of(smaller), value_by_id, tokens_by_id)


async def _value(
    smaller: Revise,
    chains: Sequence[Sequence[Candidate]],
    outcome: Outcome,
    scores: Mapping[int, float | None],
    failed: float,
) -> float:
    ctx = Context({}, seed=outcome.seed, prompt_id=outcome.prompt.id)
    try:
        selection = await choose_from_chains(smaller, outcome.prompt, chains, ctx)
    except SelectionError:
        return failed
    value = scores.get(selection.winner.id)
    if value is None:
        return failed
    return value
