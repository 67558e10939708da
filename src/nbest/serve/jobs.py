"""What a client is told: its answer, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from nbest.accounting import costs
from nbest.accounting.costs import ModelSize, Price
from nbest.accounting.meter import total
from nbest.protocols import Strategy
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api.reply import Choice, Reply
from nbest.serve.observer import candidate_shown
from nbest.types import Budget, Candidate, Json, Outcome, Prompt, Selection, Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request, understood."""

    ask: GatewayRequest
    id: str
    model: str
    """The upstream's name for it."""
    prompt: Prompt
    strategy: Strategy
    label: str
    """A preset's name, or the strategy's registry name: what metrics may be told apart by."""
    seed: int
    budget: Budget
    created: int


def reply_of(
    job: Job, outcome: Outcome, *, sizes: Mapping[str, ModelSize], prices: Mapping[str, Price]
) -> Reply:
    """The reply to a job with an answer; FLOPs and money where every role that was used has a size, a price."""
    assert outcome.selection
    has_logprobs = job.ask.overrides.logprobs is not None
    return Reply(
        id=job.id,
        model=job.ask.model,
        created=job.created,
        choices=tuple(_choice(c, has_logprobs=has_logprobs) for c in ranked(outcome)[: job.ask.n]),
        usage=total(outcome.usage),
        nbest={**_told(job, outcome, outcome.selection), **_cost(outcome.usage, sizes, prices)},
        echo=job.ask.echo,
    )


def ranked(outcome: Outcome) -> list[Candidate]:
    """Answers, best first: the winner, then the others by score, by weight, by id."""
    selection = outcome.selection
    assert selection
    scores, weights, winner = selection.scores, selection.weights, selection.winner
    others = [c for c in outcome.candidates if c.is_usable and c.finish != "step" and c.id != winner.id]
    others.sort(key=lambda c: (-scores.get(c.id, float("-inf")), -weights.get(c.id, 0.0), c.id))
    return [winner, *others]


def _choice(candidate: Candidate, *, has_logprobs: bool) -> Choice:
    if candidate.finish == "refused":
        return Choice(text="", refusal=candidate.text, reasoning=candidate.reasoning)
    if candidate.finish == "filtered":
        return Choice(text=candidate.text, finish="content_filter", reasoning=candidate.reasoning)
    is_cut = candidate.finish in {"length", "step"}  # the best step, where a search finished no answer
    return Choice(
        text=candidate.text,
        finish="length" if is_cut else "tool_calls" if candidate.tool_calls else "stop",
        tool_calls=candidate.tool_calls,
        logprobs=candidate.logprobs if has_logprobs else None,
        reasoning=candidate.reasoning,
    )


def _told(job: Job, outcome: Outcome, selection: Selection) -> dict[str, Json]:
    told: dict[str, Json] = {
        "strategy": outcome.strategy,
        "num_candidates": sum(c.finish != "step" for c in outcome.candidates),
        "num_failed": sum(c.error is not None for c in outcome.candidates),
        "chosen": selection.winner.id,
        "scores": {str(i): s for i, s in selection.scores.items()},
        "weights": {str(i): w for i, w in selection.weights.items()},
        "stopped": outcome.stopped,
        "seconds": outcome.seconds,
        "usage_by_role": {role: _counts(u) for role, u in outcome.usage.items()},
        "notes": outcome.notes,
        "temperatures": sorted({c.params.temperature for c in outcome.candidates if c.params}),
    }
    if job.ask.nbest.candidates:
        told["rationale"] = selection.rationale
        told["details"] = selection.details
        told["candidates"] = [
            candidate_shown(c, score=selection.scores.get(c.id), weight=selection.weights.get(c.id))
            for c in outcome.candidates
        ]
    return told


def _cost(
    usage: Mapping[str, Usage], sizes: Mapping[str, ModelSize], prices: Mapping[str, Price]
) -> dict[str, Json]:
    told: dict[str, Json] = {}
    if (size_by_role := _of(sizes, usage)) is not None:
        told["flops"] = sum(costs.inference_flops(u, size_by_role[r]) for r, u in usage.items())
    if (price_by_role := _of(prices, usage)) is not None:
        told["cost"] = sum(costs.money(u, price_by_role[r]) for r, u in usage.items())
    return told


def _of(table: Mapping[str, T], roles: Mapping[str, Usage]) -> dict[str, T] | None:
    """Each role's own, else the policy's; None where one has neither."""
    found = {role: own for role in roles if (own := table.get(role, table.get("policy"))) is not None}
    return found if found and len(found) == len(roles) else None


def _counts(usage: Usage) -> dict[str, Json]:
    """With zeros, which records leave out."""
    return {name: getattr(usage, name) for name in Usage.__struct_fields__}
