"""What a client says about the draws of its answer, put into requests, and what it demands of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from nbest.errors import InputError
from nbest.types import Candidate, Completion, Json, Prompt, Request, ToolCall, replace

_MAX_PROBLEM = 200


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
    """Raises `InputError`, whose first word is the field, for what no answer can be held against.

    That is a `response_format`, or the parameters of a strict tool.
    """
    _schema_of(prompt)
    for function in _functions_of(prompt).values():
        _parameters_of(function)


def has_format(prompt: Prompt) -> bool:
    """Whether `response_format`, or what is said of tools, demands anything."""
    return _schema_of(prompt) is not None or bool(_functions_of(prompt))


def constraint_violation(prompt: Prompt, completion: Completion | Candidate) -> str | None:
    """Why a whole answer is not what the client demands; None where it is, or nothing is demanded.

    A tool call is held against the tools, `tool_choice` and `parallel_tool_calls`. It is no answer yet, and
    fits any `response_format`.
    """
    if completion.error is not None or not (prompt.overrides and prompt.overrides.body):
        return None
    if problem := _miscalled(prompt, completion.tool_calls):
        return f"does not fit {problem}"
    if completion.tool_calls or (schema := _schema_of(prompt)) is None:
        return None
    problem = _problem(schema, completion.text)
    return problem and f"does not fit response_format: {problem}"


def _miscalled(prompt: Prompt, calls: Sequence[ToolCall]) -> str | None:
    """The field that `calls` do not fit, and why; None where they do, or there are no tools."""
    functions = _functions_of(prompt)
    if not functions or not prompt.overrides:
        return None
    said = prompt.overrides.body
    names = {call.name for call in calls}
    match said.get("tool_choice", said.get("function_call")):
        case "none" if calls:
            return "tool_choice: it calls a function"
        case "required" if not calls:
            return "tool_choice: it calls no function"
        case {"function": {"name": str(name)}} | {"name": str(name)} if names != {name}:
            return f"tool_choice: it must call {name!r}, and nothing else"
        case _:
            pass
    if len(calls) > 1 and said.get("parallel_tool_calls") is False:
        return f"parallel_tool_calls: it has {len(calls)} calls"
    if unknown := names - functions.keys():
        return f"tools: there is no function {min(unknown)[:_MAX_PROBLEM]!r}"
    for call in calls:
        schema = _parameters_of(functions[call.name])
        if schema and (problem := _problem(schema, call.arguments or "{}")):
            return f"the parameters of {call.name!r}: {problem}"
    return None


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


def _functions_of(prompt: Prompt) -> dict[str, Mapping[str, Json]]:
    """By name: `tools`, or what they were before, `functions`."""
    said: Mapping[str, Json] = prompt.overrides.body if prompt.overrides else {}
    tools: Sequence[Json] = said.get("tools") or ()
    functions: Sequence[Json] = [t.get("function") for t in tools] or said.get("functions") or ()
    return {f["name"]: f for f in functions if f and "name" in f}


def _parameters_of(function: Mapping[str, Json]) -> Any:
    """What holds the arguments of a strict function against its schema; None for any other."""
    parameters = function.get("parameters")
    if parameters is None or function.get("strict") is not True:
        return None
    return _compiled(msgspec.json.encode(parameters), "tools")


def _problem(schema: Any, text: str) -> str | None:
    """Why `text` is no JSON that fits; None where it is."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        return f"it is no JSON ({e})"
    found = next(iter(schema.iter_errors(value)), None)
    return found and found.message[:_MAX_PROBLEM]


@lru_cache(maxsize=256)
def _compiled(schema: bytes, field: str = "response_format") -> Any:
    """A validator that reaches for nothing outside the schema. Raises `InputError`, which begins with `field`."""
    import jsonschema_rs  # noqa: PLC0415 (most prompts need none)

    try:
        return jsonschema_rs.validator_for(msgspec.json.decode(schema), retriever=_refuse)
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as e:
        why = str(e).splitlines()[0][:_MAX_PROBLEM]
        raise InputError(f"{field} holds no usable JSON schema: {why}") from None


def _refuse(uri: str) -> Json:
    raise ValueError(f"$ref {uri} points outside the schema: put what it names under $defs")
