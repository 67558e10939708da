"""Bodies of POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbest.serve.api.bad_request import invalid
from nbest.serve.api.common_fields import (
    OWN,
    CommonFields,
    FormatType,
    convert,
    message_of_parts,
    model_name,
    nbest_options,
    overrides,
)
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api.json_body import decode
from nbest.types import Json, Message, replace


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Json] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None


class _CalledFunction(msgspec.Struct):
    name: str
    arguments: str


class _Call(msgspec.Struct):
    id: str
    function: _CalledFunction


class _Turn(msgspec.Struct):
    role: str
    content: str | list[dict[str, Json]] | None = None
    name: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


class _Schema(msgspec.Struct):
    name: str
    schema: dict[str, Json] | None = None
    strict: bool | None = None
    description: str | None = None


class _Format(msgspec.Struct):
    type: FormatType
    json_schema: _Schema | None = None


class StreamOptions(msgspec.Struct):
    """The key `stream_options` of both completions APIs."""

    include_usage: bool | None = None


class _Chat(CommonFields, kw_only=True):
    messages: list[_Turn]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stream_options: StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Json] | None = None
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    reasoning_effort: str | None = None
    modalities: list[str] | None = None
    user: str | None = None


_OWN_CHAT = OWN | {
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "logprobs",
    "top_logprobs",
    "stream_options",
    "modalities",
}
_TOOL_KEYS = ("tools", "tool_choice", "parallel_tool_calls")
_PART_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "refusal": (str,),
    "image_url": (str, dict),
    "input_audio": (str, dict),
    "file": (str, dict),
}
"""Parts whose content stands under a key of the part's own name, and its types; other parts are not read."""


def read_chat(raw: bytes) -> GatewayRequest:
    """A chat request. Raises `BadRequestError` with the place of the first thing that does not fit."""
    body = decode(raw)
    for key in ("functions", "function_call"):
        if key in body:
            raise invalid(key, "is no longer understood: use tools and tool_choice")

    fields = convert(body, _Chat)
    if not fields.messages:
        raise invalid("messages", "is empty: send at least one")
    if "audio" in body or set(fields.modalities or ()) - {"text"}:
        raise invalid("modalities", "must be text: answers cannot be chosen by their sound")
    if fields.top_logprobs and not fields.logprobs:
        raise invalid("top_logprobs", "needs logprobs to be true")

    passed_on = {k: v for k, v in body.items() if k not in _OWN_CHAT}
    _check_format(fields)
    _check_tools(fields, passed_on)
    return GatewayRequest(
        model=model_name(fields),
        messages=_messages(body["messages"], fields.messages),
        overrides=overrides(
            fields,
            max_tokens=_max_tokens(fields),
            logprobs=(fields.top_logprobs or 0) if fields.logprobs else None,
            body=passed_on,
        ),
        n=fields.n or 1,
        seed=fields.seed,
        stream=bool(fields.stream),
        include_usage=wants_usage(fields.stream_options),
        nbest=nbest_options(body, fields),
    )


def wants_usage(options: StreamOptions | None) -> bool:
    """Whether a stream shall end with the usage."""
    return options is not None and bool(options.include_usage)


def drop_unused_tool_keys(tools: Sequence[Json] | None, choice: Json, body: dict[str, Json]) -> None:
    """Removes what `body` holds about tools where there are none; some servers refuse it.

    Raises `BadRequestError` where `choice` demands a call all the same.
    """
    if tools:
        return
    if choice not in (None, "none", "auto"):
        raise invalid("tool_choice", "asks for a tool, but tools is empty")
    for key in _TOOL_KEYS:
        body.pop(key, None)


def _max_tokens(fields: _Chat) -> int | None:
    if fields.max_completion_tokens is not None:
        return fields.max_completion_tokens
    return fields.max_tokens


def _messages(bodies: Sequence[dict[str, Json]], turns: Sequence[_Turn]) -> tuple[Message, ...]:
    pairs = zip(bodies, turns, strict=True)
    return tuple(_message(body, turn, f"messages[{i}]") for i, (body, turn) in enumerate(pairs))


def _message(body: dict[str, Json], turn: _Turn, at: str) -> Message:
    if not turn.role:
        raise invalid(f"{at}.role", "is empty: say system, developer, user, assistant or tool")
    if turn.role == "user" and turn.content in (None, []):
        raise invalid(f"{at}.content", "is missing: it must be a text, or a list of parts")

    others = {k: v for k, v in body.items() if k not in {"role", "content"}}
    fields = {k: v for k, v in others.items() if v is not None}
    if not isinstance(turn.content, list):
        return Message(role=turn.role, content=turn.content or "", fields=fields)

    for i, part in enumerate(turn.content):
        _check_part(part, f"{at}.content[{i}]")
    return replace(message_of_parts(turn.role, turn.content), fields=fields)


def _check_part(part: dict[str, Json], at: str) -> None:
    kind = part.get("type")
    if not isinstance(kind, str):
        raise invalid(f"{at}.type", "must be a string such as text, image_url, input_audio or file")
    if kind in _PART_TYPES and not isinstance(part.get(kind), _PART_TYPES[kind]):
        raise invalid(f"{at}.{kind}", "is missing, or not of the type that this part has")


def _check_format(fields: _Chat) -> None:
    wanted = fields.response_format
    if wanted and wanted.type == "json_schema" and not wanted.json_schema:
        raise invalid("response_format.json_schema", "is missing")


def _check_tools(fields: _Chat, body: dict[str, Json]) -> None:
    for i, tool in enumerate(fields.tools or ()):
        if tool.type != "function":
            raise invalid(f"tools[{i}].type", f"must be function, got {tool.type!r}")
        if not tool.function:
            raise invalid(f"tools[{i}].function", "is missing")
    drop_unused_tool_keys(fields.tools, fields.tool_choice, body)
