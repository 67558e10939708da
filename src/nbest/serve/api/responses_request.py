"""Bodies of POST /v1/responses, put into the words of chat.

Nothing is kept between requests: one that refers to an earlier one is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from nbest.serve.api.bad_request import invalid
from nbest.serve.api.chat_request import drop_unused_tool_keys
from nbest.serve.api.common_fields import (
    COMMON,
    OWN,
    CommonFields,
    FormatType,
    convert,
    model_name,
    nbest_options,
    overrides,
)
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api.json_body import decode
from nbest.serve.api.responses_input import STATELESS, messages_of
from nbest.types import Json


class _Tool(msgspec.Struct, omit_defaults=True):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Json] | None = None
    strict: bool | None = None


class _Format(msgspec.Struct, omit_defaults=True):
    type: FormatType
    name: str | None = None
    schema: dict[str, Json] | None = None
    description: str | None = None
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class _Responses(CommonFields, kw_only=True):
    input: str | list[dict[str, Json]]
    instructions: str | None = None
    max_output_tokens: int | None = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Json] | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    metadata: dict[str, str] | None = None
    background: bool | None = None
    stream_options: Json = None
    truncation: Json = None
    max_tool_calls: Json = None


_OWN_RESPONSES = OWN | (frozenset(_Responses.__struct_fields__) - COMMON)
_ECHOED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "reasoning",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
)


def read_responses(raw: bytes) -> GatewayRequest:
    """A request of the Responses API. Raises `BadRequestError` with the place of the first thing that does not fit."""
    body = decode(raw)
    for key in ("previous_response_id", "conversation", "prompt"):
        if key in body:
            raise invalid(key, STATELESS)

    fields = convert(body, _Responses)
    if fields.background:
        raise invalid(
            "background", "is not supported, since nothing is stored: wait for the answer, or stream it"
        )
    if (fields.n or 1) != 1:
        raise invalid("n", 'must be 1 in this API: say "nbest": {"n": …} to choose from more answers')

    return GatewayRequest(
        model=model_name(fields),
        messages=messages_of(fields.instructions, fields.input),
        overrides=overrides(
            fields,
            max_tokens=fields.max_output_tokens,
            logprobs=_logprobs(fields),
            body=_passed_on(body, fields),
        ),
        seed=fields.seed,
        stream=bool(fields.stream),
        include_usage=True,
        nbest=nbest_options(body, fields),
        echo={k: body[k] for k in _ECHOED if k in body},
    )


def _logprobs(fields: _Responses) -> int | None:
    is_included = "message.output_text.logprobs" in (fields.include or ())
    return (fields.top_logprobs or 0) if fields.top_logprobs or is_included else None


def _passed_on(body: Mapping[str, Json], fields: _Responses) -> dict[str, Json]:
    """Tools, formats and effort under their names in chat, and keys that are not known here."""
    chat = {k: v for k, v in body.items() if k not in _OWN_RESPONSES}
    if fields.tools:
        chat["tools"] = _chat_tools(fields.tools)
    if fields.tool_choice is not None:
        chat["tool_choice"] = _chat_tool_choice(fields.tool_choice)
    if fields.parallel_tool_calls is not None:
        chat["parallel_tool_calls"] = fields.parallel_tool_calls
    drop_unused_tool_keys(fields.tools, fields.tool_choice, chat)

    if fields.reasoning and fields.reasoning.effort:
        chat["reasoning_effort"] = fields.reasoning.effort
    text = fields.text or _Text()
    if text.verbosity:
        chat["verbosity"] = text.verbosity
    if text.format and text.format.type != "text":
        chat["response_format"] = _chat_format(text.format)
    return chat


def _chat_tools(tools: Sequence[_Tool]) -> list[Json]:
    return [_chat_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)]


def _chat_tool(tool: _Tool, at: str) -> Json:
    if tool.type != "function":
        raise invalid(f"{at}.type", f"{tool.type!r} runs on OpenAI's servers: here are function tools only")
    if not tool.name:
        raise invalid(f"{at}.name", "is missing")
    function = {k: v for k, v in msgspec.to_builtins(tool).items() if k != "type"}
    return {"type": "function", "function": function}


def _chat_tool_choice(choice: str | dict[str, Json]) -> Json:
    if isinstance(choice, str):
        return choice
    if choice.get("type") != "function" or not isinstance(choice.get("name"), str):
        raise invalid("tool_choice", 'must be auto, none, required or {"type": "function", "name": …}')
    return {"type": "function", "function": {"name": choice["name"]}}


def _chat_format(wanted: _Format) -> Json:
    if wanted.type == "json_object":
        return {"type": "json_object"}
    for key in ("name", "schema"):
        if not getattr(wanted, key):
            raise invalid(f"text.format.{key}", "is missing")
    schema = {k: v for k, v in msgspec.to_builtins(wanted).items() if k != "type"}
    return {"type": "json_schema", "json_schema": schema}
