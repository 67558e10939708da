"""The reply to a job: answers, best first, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping

from nbest.accounting.costs import Costs, ModelSize, Price
from nbest.accounting.meter import spent_of, total
from nbest.offload import spaced
from nbest.serve.api.reply import Choice, Reply
from nbest.serve.candidate_json import candidate_json
from nbest.serve.jobs import Job
from nbest.serve.redaction import Redaction
from nbest.serve.strategy_choice import public_spec
from nbest.types import Candidate, Json, Outcome, Selection, Usage


async def reply_of(
    job: Job,
    outcome: Outcome,
    *,
    sizes: Mapping[str, ModelSize],
    prices: Mapping[str, Price],
    redact: Redaction,
) -> Reply:
    """The reply to a job with an answer; FLOPs and money where every engine that was used has a size, a price."""
    assert outcome.selection
    has_logprobs = job.request.overrides.logprobs is not None
    answers = ranked(outcome)[: job.request.n]
    return Reply(
        id=job.id,
        model=job.request.model,
        created=job.created,
        choices=tuple(_choice(c, has_logprobs=has_logprobs) for c in answers),
        usage=total(outcome.usage),
        nbest={
            **await _details(job, outcome, outcome.selection, redact),
            **_costs(outcome, Costs(sizes=sizes, prices=prices, with_attention=True)),
        },
        echo=job.request.echo,
    )


def ranked(outcome: Outcome) -> list[Candidate]:
    """Answers, best first: the winner, then the others by score, by weight, by id."""
    selection = outcome.selection
    assert selection
    scores, weights, winner = selection.scores, selection.weights, selection.winner
    answers = [c for c in outcome.candidates if c.is_usable and c.finish != "step"]
    others = [c for c in answers if c.id != winner.id]
    others.sort(key=lambda c: (-scores.get(c.id, float("-inf")), -weights.get(c.id, 0.0), c.id))
    return [winner, *others]


def _choice(candidate: Candidate, *, has_logprobs: bool) -> Choice:
    if candidate.finish == "refused":
        return Choice(text="", refusal=candidate.text, reasoning=candidate.reasoning)
    if candidate.finish == "filtered":
        return Choice(text=candidate.text, finish="content_filter", reasoning=candidate.reasoning)

    finish = "stop"
    if candidate.finish in {"length", "step"}:  # a step is the answer where a search finished none
        finish = "length"
    elif candidate.tool_calls:
        finish = "tool_calls"
    return Choice(
        text=candidate.text,
        finish=finish,
        tool_calls=candidate.tool_calls,
        logprobs=candidate.logprobs if has_logprobs else None,
        reasoning=candidate.reasoning,
    )


async def _details(job: Job, outcome: Outcome, selection: Selection, redact: Redaction) -> dict[str, Json]:
    """The key `nbest` of a reply."""
    details: dict[str, Json] = {
        "strategy": public_spec(job.strategy),
        "num_candidates": sum(c.finish != "step" for c in outcome.candidates),
        "num_failed": sum(c.error is not None for c in outcome.candidates),
        "chosen": selection.winner.id,
        "scores": {str(i): s for i, s in selection.scores.items()},
        "weights": {str(i): w for i, w in selection.weights.items()},
        "stopped": outcome.stopped,
        "seconds": outcome.seconds,
        "usage_by_role": {role: _counts(u) for role, u in outcome.usage.items()},
        "notes": [redact(note) for note in outcome.notes],
        "temperatures": sorted({c.params.temperature for c in outcome.candidates if c.params}),
    }
    if job.request.nbest.candidates:
        details["rationale"] = redact.within(selection.rationale)
        details["details"] = redact.within(selection.details)
        details["candidates"] = [
            candidate_json(
                c, score=selection.scores.get(c.id), weight=selection.weights.get(c.id), redact=redact
            )
            async for c in spaced(outcome.candidates)
        ]
    return details


def _costs(outcome: Outcome, costs: Costs) -> dict[str, Json]:
    spent = spent_of(outcome)
    found = {"flops": costs.flops(spent), "cost": costs.money(spent)}
    return {name: value for name, value in found.items() if value is not None}


def _counts(usage: Usage) -> dict[str, Json]:
    """With zeros, which records leave out."""
    return {name: getattr(usage, name) for name in Usage.__struct_fields__}
