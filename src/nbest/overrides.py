"""What a client says about the draws of its answer, put into requests, and what it demands of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from nbest.errors import InputError
from nbest.types import Candidate, Completion, Json, Prompt, Request, replace


def applied(requests: Sequence[Request]) -> list[Request]:
    """`requests` as the clients of their prompts want them, those of other prompts as they are.

    A temperature replaces that of stochastic draws where all of them share one; 0 only that of one whole
    text, for a pool of equal texts is no pool.
    """
    warm = {r.params.temperature for r in requests if r.role == "policy" and r.params.temperature > 0}
    is_pool = [(r.n, r.is_part) for r in requests] != [(1, False)]
    return [
        _applied(r, is_ladder=len(warm) > 1, is_pool=is_pool) if r.prompt.overrides else r for r in requests
    ]


def check(prompt: Prompt) -> None:
    """Raises `InputError` for a `response_format` that no answer can be held against."""
    _schema_of(prompt)


def has_format(prompt: Prompt) -> bool:
    """Whether `response_format` demands anything."""
    return _schema_of(prompt) is not None


def misfit(prompt: Prompt, completion: Completion | Candidate) -> str | None:
    """Why a whole answer is not what `response_format` demands; None where it is, or nothing is demanded.

    A tool call is no answer yet, and fits.
    """
    if completion.error is not None or completion.tool_calls or (schema := _schema_of(prompt)) is None:
        return None
    try:
        answer = msgspec.json.decode(completion.text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        return f"does not fit response_format: it is no JSON ({e})"
    problem = next(iter(schema.iter_errors(answer)), None)
    return None if problem is None else f"does not fit response_format: {problem.message[:200]}"


def _applied(request: Request, *, is_ladder: bool, is_pool: bool) -> Request:
    said = request.prompt.overrides
    assert said
    p = request.params
    changes: dict[str, Any] = {}
    if said.max_tokens is not None:
        changes["max_tokens"] = min(said.max_tokens, p.max_tokens) if request.is_part else said.max_tokens
    if said.stop:
        changes["stop"] = tuple(dict.fromkeys((*p.stop, *said.stop)))
    if request.role == "policy":
        if said.logprobs is not None:
            changes["logprobs"] = max(said.logprobs, p.logprobs or 0)
        if p.temperature > 0:
            changes |= {k: v for k in ("top_p", "top_k", "min_p") if (v := getattr(said, k)) is not None}
            if said.temperature is not None and not is_ladder and (said.temperature > 0 or not is_pool):
                changes["temperature"] = said.temperature
    return replace(request, params=replace(p, **changes)) if changes else request


def _schema_of(prompt: Prompt) -> Any:
    wanted: Json = prompt.overrides.body.get("response_format") if prompt.overrides else None
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return _compiled(b'{"type":"object"}')
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return _compiled(msgspec.json.encode(schema))
        case _:
            raise InputError(
                "response_format must be of type text, json_object, or json_schema with json_schema.schema"
            )


@lru_cache(maxsize=64)
def _compiled(schema: bytes) -> Any:
    """A validator that reaches for nothing outside the schema."""
    import jsonschema_rs  # noqa: PLC0415 (most prompts need none)

    try:
        return jsonschema_rs.validator_for(msgspec.json.decode(schema), retriever=_refuse)
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as e:
        raise InputError(
            f"response_format holds no usable JSON schema: {str(e).splitlines()[0][:200]}"
        ) from None


def _refuse(uri: str) -> Json:
    raise ValueError(f"$ref {uri} points outside the schema: put what it names under $defs")
