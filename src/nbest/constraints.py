"""A client's sampling parameters, put into requests, and its demands (`response_format`, tools) on answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from nbest.errors import InputError
from nbest.types import Candidate, Completion, Json, Overrides, Prompt, Request, ToolCall, replace

_MAX_PROBLEM = 200


def applied(requests: Sequence[Request]) -> list[Request]:
    """`requests` with the `Prompt.overrides` of their prompts; those without overrides as they are.

    A client's temperature replaces that of stochastic draws where all of them share one; 0 only that of one
    whole text, for draws at temperature 0 would make a pool of equal texts.
    """
    policy = [r.params.temperature for r in requests if r.role == "policy"]
    num_temperatures = len({temperature for temperature in policy if temperature > 0})
    is_pool = [(r.n, r.is_part) for r in requests] != [(1, False)]

    new: list[Request] = []
    for request in requests:
        overrides = request.prompt.overrides
        if overrides is None:
            new.append(request)
        else:
            new.append(_applied(request, overrides, is_ladder=num_temperatures > 1, is_pool=is_pool))
    return new


def check(prompt: Prompt) -> None:
    """Raises `InputError` for a `response_format`, or parameters of a strict tool, that are no usable schema.

    The message begins with the name of the field.
    """
    _schema_of(prompt)
    for function in _functions_of(prompt).values():
        _parameters_of(function)


def has_format(prompt: Prompt) -> bool:
    """Whether an answer may break the prompt's constraints: a `response_format`, or tools."""
    return _schema_of(prompt) is not None or bool(_functions_of(prompt))


def constraint_violation(prompt: Prompt, completion: Completion | Candidate) -> str | None:
    """Why a whole answer breaks the client's constraints; None where it does not, or there are none.

    Tool calls are checked against the tools, `tool_choice` and `parallel_tool_calls`. They are no answer yet,
    and fit any `response_format`.
    """
    if completion.error is not None or not (prompt.overrides and prompt.overrides.body):
        return None
    problem = _tool_violation(prompt, completion.tool_calls)
    if problem is not None:
        return f"does not fit {problem}"
    if completion.tool_calls:
        return None

    schema = _schema_of(prompt)
    if schema is None:
        return None
    problem = _problem(schema, completion.text)
    return None if problem is None else f"does not fit response_format: {problem}"


def _tool_violation(prompt: Prompt, calls: Sequence[ToolCall]) -> str | None:
    """The field that `calls` break, and how; None where they fit, or there are no tools."""
    functions = _functions_of(prompt)
    if not functions or not prompt.overrides:
        return None

    body = prompt.overrides.body
    names = {call.name for call in calls}
    match body.get("tool_choice", body.get("function_call")):
        case "none" if calls:
            return "tool_choice: it calls a function"
        case "required" if not calls:
            return "tool_choice: it calls no function"
        case {"function": {"name": str(name)}} | {"name": str(name)} if names != {name}:
            return f"tool_choice: it must call {name!r}, and nothing else"
        case _:
            pass

    if len(calls) > 1 and body.get("parallel_tool_calls") is False:
        return f"parallel_tool_calls: it has {len(calls)} calls"
    unknown = names - functions.keys()
    if unknown:
        return f"tools: there is no function {min(unknown)[:_MAX_PROBLEM]!r}"

    for call in calls:
        schema = _parameters_of(functions[call.name])
        if schema is None:
            continue
        problem = _problem(schema, call.arguments or "{}")
        if problem is not None:
            return f"the parameters of {call.name!r}: {problem}"
    return None


def _applied(request: Request, overrides: Overrides, *, is_ladder: bool, is_pool: bool) -> Request:
    params = request.params
    changes: dict[str, Any] = {}
    if overrides.max_tokens is not None:
        limit = params.max_tokens if request.is_part else overrides.max_tokens
        changes["max_tokens"] = min(limit, overrides.max_tokens)
    if overrides.stop:
        changes["stop"] = tuple(dict.fromkeys((*params.stop, *overrides.stop)))

    if request.role == "policy" and overrides.logprobs is not None:
        changes["logprobs"] = max(overrides.logprobs, params.logprobs or 0)
    if request.role == "policy" and params.temperature > 0:
        given = {name: getattr(overrides, name) for name in ("top_p", "top_k", "min_p")}
        changes |= {name: value for name, value in given.items() if value is not None}
        temperature = overrides.temperature
        is_flat = temperature == 0 and is_pool
        if temperature is not None and not (is_ladder or is_flat):
            changes["temperature"] = temperature

    return replace(request, params=replace(params, **changes)) if changes else request


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
    """By name, from `tools`, or from the older field `functions`."""
    if prompt.overrides is None:
        return {}
    body = prompt.overrides.body
    tools: Sequence[Json] = body.get("tools") or ()
    functions: Sequence[Json] = [tool.get("function") for tool in tools] or body.get("functions") or ()
    return {function["name"]: function for function in functions if function and "name" in function}


def _parameters_of(function: Mapping[str, Json]) -> Any:
    """Validator of a strict function's arguments; None for any other function."""
    parameters = function.get("parameters")
    if parameters is None or function.get("strict") is not True:
        return None
    return _compiled(msgspec.json.encode(parameters), "tools")


def _problem(schema: Any, text: str) -> str | None:
    """Why `text` is not JSON of the schema; None where it is."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        return f"it is no JSON ({e})"
    error = next(iter(schema.iter_errors(value)), None)
    return None if error is None else error.message[:_MAX_PROBLEM]


@lru_cache(maxsize=256)
def _compiled(schema: bytes, field: str = "response_format") -> Any:
    """A validator that loads nothing from outside the schema. Raises `InputError`, which begins with `field`."""
    import jsonschema_rs  # noqa: PLC0415 (most prompts need none)

    try:
        return jsonschema_rs.validator_for(msgspec.json.decode(schema), retriever=_refuse)
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as e:
        why = str(e).splitlines()[0][:_MAX_PROBLEM]
        raise InputError(f"{field} holds no usable JSON schema: {why}") from None


def _refuse(uri: str) -> Json:
    raise ValueError(f"$ref {uri} points outside the schema: put what it names under $defs")
