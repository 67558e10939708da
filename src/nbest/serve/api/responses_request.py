"""Bodies of POST /responses, put into the words of chat.

Nothing is remembered between requests: what refers to an earlier one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from nbest.serve.api import gateway_request
from nbest.serve.api.chat_request import check_choice
from nbest.serve.api.gateway_request import OWN, CommonFields, FormatType, GatewayRequest, refused
from nbest.types import Json, Message, replace

_STATELESS = "is not supported, since nothing is stored: send the whole conversation as input"


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


class _Turn(msgspec.Struct):
    role: str
    content: str | list[dict[str, Json]]


class _Call(msgspec.Struct):
    call_id: str
    name: str
    arguments: str


class _Output(msgspec.Struct):
    call_id: str
    output: str | list[dict[str, Json]]


_OWN = OWN | frozenset(_Responses.__struct_fields__) - frozenset(CommonFields.__struct_fields__)
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
    said = gateway_request.decode(raw)
    for key in ("previous_response_id", "conversation", "prompt"):
        if key in said:
            raise refused(key, _STATELESS)
    read = gateway_request.fit(said, _Responses)
    if read.background:
        raise refused(
            "background", "is not supported, since nothing is stored: wait for the answer, or stream it"
        )
    if (read.n or 1) != 1:
        raise refused("n", 'must be 1 in this API: say "nbest": {"n": …} to choose from more answers')
    wants_logprobs = bool(read.top_logprobs) or "message.output_text.logprobs" in (read.include or ())
    return GatewayRequest(
        model=gateway_request.model(read),
        messages=_messages(read),
        overrides=gateway_request.overrides(
            read,
            max_tokens=read.max_output_tokens,
            logprobs=(read.top_logprobs or 0) if wants_logprobs else None,
            body=_body(said, read),
        ),
        seed=read.seed,
        stream=bool(read.stream),
        include_usage=True,
        nbest=gateway_request.nbest(said, read),
        echo={k: said[k] for k in _ECHOED if k in said},
    )


def _body(said: Mapping[str, Json], read: _Responses) -> dict[str, Json]:
    """What chat says about tools, formats and effort, and what is not known here."""
    body = {k: v for k, v in said.items() if k not in _OWN}
    if read.tools:
        body["tools"] = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(read.tools)]
    if read.tool_choice is not None:
        body["tool_choice"] = _tool_choice(read.tool_choice)
    if read.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = read.parallel_tool_calls
    check_choice(read.tools, read.tool_choice, body)
    if read.reasoning and read.reasoning.effort:
        body["reasoning_effort"] = read.reasoning.effort
    if read.text and read.text.verbosity:
        body["verbosity"] = read.text.verbosity
    if read.text and read.text.format and read.text.format.type != "text":
        body["response_format"] = _response_format(read.text.format)
    return body


def _tool(tool: _Tool, at: str) -> Json:
    if tool.type != "function":
        raise refused(
            f"{at}.type", f"{tool.type!r} is a tool of OpenAI's servers: here are function tools only"
        )
    if not tool.name:
        raise refused(f"{at}.name", "is missing")
    function = {k: v for k, v in msgspec.to_builtins(tool).items() if k != "type"}
    return {"type": "function", "function": function}


def _tool_choice(choice: str | dict[str, Json]) -> Json:
    if isinstance(choice, str):
        return choice
    if choice.get("type") != "function" or not isinstance(choice.get("name"), str):
        raise refused("tool_choice", 'must be auto, none, required or {"type": "function", "name": …}')
    return {"type": "function", "function": {"name": choice["name"]}}


def _response_format(found: _Format) -> Json:
    if found.type == "json_object":
        return {"type": "json_object"}
    for key in ("name", "schema"):
        if not getattr(found, key):
            raise refused(f"text.format.{key}", "is missing")
    schema = {k: v for k, v in msgspec.to_builtins(found).items() if k != "type"}
    return {"type": "json_schema", "json_schema": schema}


def _messages(read: _Responses) -> tuple[Message, ...]:
    """The instructions as a system turn, then the input; calls in a row are one turn, as in chat."""
    turns = [Message(role="system", content=read.instructions)] if read.instructions else []
    if isinstance(read.input, str):
        return (*turns, Message(role="user", content=read.input))
    start, thought = len(turns), ""
    for i, item in enumerate(read.input):
        at = f"input[{i}]"
        match item.get("type") or ("message" if "role" in item else None):
            case "message":
                turn = gateway_request.fit(item, _Turn, at)
                said = _message(turn.role, turn.content, f"{at}.content")
                turns.append(_with_thought(said, thought) if turn.role == "assistant" else said)
            case "function_call":
                call = gateway_request.fit(item, _Call, at)
                if len(turns) == start or turns[-1].role != "assistant":
                    turns.append(Message(role="assistant"))
                turns[-1] = _with_thought(turns[-1], thought)
                function = {"name": call.name, "arguments": call.arguments}
                calls = turns[-1].fields.get("tool_calls", ())
                called = {"id": call.call_id, "type": "function", "function": function}
                turns[-1] = replace(turns[-1], fields={**turns[-1].fields, "tool_calls": [*calls, called]})
            case "function_call_output":
                output = gateway_request.fit(item, _Output, at)
                turn = _message("tool", output.output, f"{at}.output")
                turns.append(replace(turn, fields={"tool_call_id": output.call_id}))
            case "reasoning":
                thought = _joined(thought, _thought(item))
                continue
            case "item_reference":
                raise refused(at, _STATELESS)
            case kind:
                raise refused(
                    f"{at}.type", f"must be message, function_call or function_call_output, got {kind!r}"
                )
        thought = ""
    if len(turns) == start:
        raise refused("input", "has no turn: send at least one")
    return tuple(turns)


def _thought(item: Mapping[str, Json]) -> str:
    """What the model thought; a summary is none of it."""
    match item.get("content"):
        case [*parts]:
            return _joined(*map(_thought_in, parts))
        case _:
            return ""


def _thought_in(part: Json) -> str:
    match part:
        case {"type": "reasoning_text", "text": str(text)}:
            return text
        case _:
            return ""


def _with_thought(turn: Message, thought: str) -> Message:
    said = _joined(turn.fields.get("reasoning_content", ""), thought)
    return replace(turn, fields={**turn.fields, "reasoning_content": said}) if thought else turn


def _joined(*thoughts: str) -> str:
    return "\n\n".join(filter(None, thoughts))


def _message(role: str, content: str | Sequence[dict[str, Json]], at: str) -> Message:
    if not role:
        raise refused(f"{at.rpartition('.')[0]}.role", "is empty: say system, developer, user or assistant")
    if isinstance(content, str):
        return Message(role=role, content=content)
    return gateway_request.of_parts(role, [_part(part, f"{at}[{i}]") for i, part in enumerate(content)])


def _part(part: Mapping[str, Json], at: str) -> dict[str, Json]:
    """A part in the shape of chat."""
    match part:
        case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "refusal", "refusal": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": str(url)}:
            detail = part.get("detail")
            return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}
        case {"type": "input_audio", "input_audio": dict()}:
            return dict(part)
        case {"type": "input_file", "file_data": str()} | {"type": "input_file", "file_id": str()}:
            file = {k: part[k] for k in ("file_data", "file_id", "filename") if part.get(k) is not None}
            return {"type": "file", "file": file}
        case _:
            known = (
                "input_text, output_text, input_image with image_url, input_audio, input_file with file_data"
            )
            raise refused(at, f"is not understood: parts are {known}")
