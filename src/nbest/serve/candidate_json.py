"""Candidates as replies and events hold them."""

from __future__ import annotations

from nbest.serve.redaction import Redact
from nbest.text.language import likely_language
from nbest.types import Candidate, Completion, Finish, Json, Request, SamplingParams, ToolCall

_ALWAYS_SHOWN = {"temperature", "max_tokens"}
_IDENTIFIED_CHARS = 400
"""Characters of a candidate that its language is identified from."""


def candidate_json(
    candidate: Candidate, *, score: float | None, weight: float | None, redact: Redact
) -> dict[str, Json]:
    """A candidate of an outcome, with the selection's score and weight."""
    return {
        "id": candidate.id,
        "text": candidate.text,
        "finish": candidate.finish,
        "language": likely_language(candidate.text[:_IDENTIFIED_CHARS]),
        "error": candidate.error and redact(candidate.error),
        "engine": candidate.engine and redact(candidate.engine),
        "params": params_json(candidate.params) if candidate.params else {},
        "usage": {"completion": candidate.usage.completion},
        "tool_calls": [_call(c) for c in candidate.tool_calls],
        "reasoning": candidate.reasoning,
        "parents": candidate.parents,
        "score": score,
        "weight": weight,
    }


def completion_json(request: Request, completion: Completion, redact: Redact) -> dict[str, Json]:
    """A completion as it arrives, which has no id yet: ids are places in the pool when it is whole."""
    return {
        "text": request.prefix + completion.text,
        "finish": _finish(request, completion),
        "language": likely_language(completion.text[:_IDENTIFIED_CHARS]),
        "error": completion.error and redact(completion.error),
        "engine": completion.engine and redact(completion.engine),
        "params": params_json(request.params),
        "usage": {"completion": completion.usage.completion},
        "tool_calls": [_call(c) for c in completion.tool_calls],
        "reasoning": completion.reasoning,
        "id": None,
    }


def params_json(params: SamplingParams) -> dict[str, Json]:
    """Temperature and length, and whatever else differs from sampling the model's own distribution."""
    default = SamplingParams()
    names = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "seed")
    changed = {name for name in names if getattr(params, name) != getattr(default, name)}
    return {name: getattr(params, name) for name in names if name in changed | _ALWAYS_SHOWN}


def _finish(request: Request, completion: Completion) -> Finish:
    """As a search will read it (`Steps.read`), as far as one call tells: a part may be the answer's last."""
    overrides = request.prompt.overrides
    client_stops = overrides.stop if overrides else ()
    step_ends = {*request.params.stop} - {*client_stops}

    is_cut = completion.finish == "length" and bool(completion.text)
    goes_on = completion.stopped_by in step_ends or is_cut
    is_step = request.is_part and completion.error is None and goes_on
    return "step" if is_step else completion.finish


def _call(call: ToolCall) -> dict[str, Json]:
    return {"id": call.id, "name": call.name, "arguments": call.arguments}
