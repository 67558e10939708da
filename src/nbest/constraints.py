"""A client's sampling parameters, put into requests, and its demands (`response_format`, tools) on answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbest.errors import InputError
from nbest.types import Candidate, Completion, Json, Overrides, Prompt, Request, ToolCall, replace
from nbest.validators import MAX_PROBLEM, Schema, check_schemas, problems, sized

_Check = tuple[str, Schema, str]
"""What a text does not fit if there is a problem, the schema, and the text."""


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


async def check(prompt: Prompt) -> None:
    """Raises `InputError` for a `response_format`, or parameters of a strict tool, that are no usable schema.

    The message begins with the name of the field. Schemas above the limits of `schema_limits` are not usable.
    """
    own = _schema_of(prompt)
    schemas: list[Schema] = []
    if own is not None:
        schemas.append(own)
    for function in _functions_of(prompt).values():
        parameters = _parameters_of(function)
        if parameters is not None:
            schemas.append(parameters)
    await check_schemas(schemas)


def has_format(prompt: Prompt) -> bool:
    """Whether an answer may break the prompt's constraints: a `response_format`, or tools."""
    return _schema_of(prompt) is not None or bool(_functions_of(prompt))


async def constraint_violation(
    prompt: Prompt, completion: Completion | Candidate, *, seconds: float | None = None
) -> str | None:
    """As `constraint_violations`, of one answer."""
    [violation] = await constraint_violations(prompt, [completion], seconds=seconds)
    return violation


async def constraint_violations(
    prompt: Prompt, completions: Sequence[Completion | Candidate], *, seconds: float | None = None
) -> list[str | None]:
    """For each whole answer why it breaks the client's constraints; None where it does not, or there are none.

    Tool calls are checked against the tools, `tool_choice` and `parallel_tool_calls`. They are no answer yet,
    and fit any `response_format`. What cannot be checked within `seconds` breaks them.
    """
    violations: list[str | None] = [None] * len(completions)
    if not (prompt.overrides and prompt.overrides.body):
        return violations

    own = _schema_of(prompt)
    functions = _functions_of(prompt)
    parameters_by_name = {name: _parameters_of(function) for name, function in functions.items()}
    places: list[int] = []
    checks: list[_Check] = []
    for i, completion in enumerate(completions):
        if completion.error is not None:
            continue
        problem = _call_problem(prompt, functions, completion.tool_calls)
        if problem is not None:
            violations[i] = f"does not fit {problem}"
            continue
        new = _checks(own, parameters_by_name, completion)
        checks += new
        places += [i] * len(new)

    found = await problems([(schema, text) for _, schema, text in checks], seconds=seconds)
    for i, (what, _, _), problem in zip(places, checks, found, strict=True):
        if problem is not None and violations[i] is None:
            violations[i] = f"does not fit {what}: {problem}"
    return violations


def _checks(
    own: Schema | None, parameters_by_name: Mapping[str, Schema | None], completion: Completion | Candidate
) -> list[_Check]:
    """The texts of an answer that have to fit a schema."""
    if not completion.tool_calls:
        if own is None:
            return []
        return [("response_format", own, completion.text)]
    checks: list[_Check] = []
    for call in completion.tool_calls:
        schema = parameters_by_name.get(call.name)
        if schema is not None:
            checks.append((f"the parameters of {call.name!r}", schema, call.arguments or "{}"))
    return checks


def _call_problem(
    prompt: Prompt, functions: Mapping[str, Mapping[str, Json]], calls: Sequence[ToolCall]
) -> str | None:
    """The field that `calls` break, arguments aside, and how; None where they fit, or there are no tools."""
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
        return f"tools: there is no function {min(unknown)[:MAX_PROBLEM]!r}"
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

    if not changes:
        return request
    return replace(request, params=replace(params, **changes))


def _schema_of(prompt: Prompt) -> Schema | None:
    """Of `response_format`. Raises `InputError`."""
    wanted: Json = None
    if prompt.overrides:
        wanted = prompt.overrides.body.get("response_format")
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return sized({"type": "object"}, "response_format")
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return sized(schema, "response_format")
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


def _parameters_of(function: Mapping[str, Json]) -> Schema | None:
    """The schema of a strict function's arguments; None for any other function. Raises `InputError`."""
    parameters = function.get("parameters")
    if parameters is None or function.get("strict") is not True:
        return None
    return sized(parameters, "tools")
