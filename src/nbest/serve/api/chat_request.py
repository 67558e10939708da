"""Bodies of POST /chat/completions and of its elder, POST /completions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbest.serve.api import gateway_request
from nbest.serve.api.gateway_request import OWN, CommonFields, FormatType, GatewayRequest, refused
from nbest.types import Json, Message, replace


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Json] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None


class _Called(msgspec.Struct):
    name: str
    arguments: str


class _Call(msgspec.Struct):
    id: str
    function: _Called


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


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Chat(CommonFields, kw_only=True):
    messages: list[_Turn]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Json] | None = None
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    reasoning_effort: str | None = None
    modalities: list[str] | None = None
    user: str | None = None


class _Completion(CommonFields, kw_only=True):
    prompt: str | list[Json]
    max_tokens: int | None = None
    logprobs: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    stream_options: _StreamOptions | None = None


_OWN_CHAT = OWN | {
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "logprobs",
    "top_logprobs",
    "stream_options",
    "modalities",
}
_OWN_COMPLETION = OWN | frozenset(_Completion.__struct_fields__) - frozenset(CommonFields.__struct_fields__)
_TOOL_KEYS = {"tools", "tool_choice", "parallel_tool_calls"}
_PARTS = {"text", "image_url", "input_audio", "file", "refusal"}
"""Parts that hold what they are under a key of the same name; others go to the engine unread."""


def read_chat(raw: bytes) -> GatewayRequest:
    """A chat request. Raises `BadRequestError` with the place of the first thing that does not fit."""
    said = gateway_request.decode(raw)
    for key in ("functions", "function_call"):
        if key in said:
            raise refused(key, "is no longer understood: use tools and tool_choice")
    read = gateway_request.fit(said, _Chat)
    if not read.messages:
        raise refused("messages", "is empty: send at least one")
    if "audio" in said or set(read.modalities or ()) - {"text"}:
        raise refused("modalities", "must be text: answers cannot be chosen by their sound")
    if read.top_logprobs and not read.logprobs:
        raise refused("top_logprobs", "needs logprobs to be true")
    limit = read.max_completion_tokens if read.max_completion_tokens is not None else read.max_tokens
    body = {k: v for k, v in said.items() if k not in _OWN_CHAT}
    _check_format(read)
    _check_tools(read, body)
    return GatewayRequest(
        model=gateway_request.model(read),
        messages=tuple(
            _message(turn, found, f"messages[{i}]")
            for i, (turn, found) in enumerate(zip(said["messages"], read.messages, strict=True))
        ),
        overrides=gateway_request.overrides(
            read,
            max_tokens=limit,
            logprobs=(read.top_logprobs or 0) if read.logprobs else None,
            body=body,
        ),
        n=read.n or 1,
        seed=read.seed,
        stream=bool(read.stream),
        include_usage=bool(read.stream_options and read.stream_options.include_usage),
        nbest=gateway_request.nbest(said, read),
    )


def read_completion(raw: bytes) -> GatewayRequest:
    """A legacy completion: one prompt of text, which becomes a user turn. Raises `BadRequestError`."""
    said = gateway_request.decode(raw)
    read = gateway_request.fit(said, _Completion)
    prompts = [read.prompt] if isinstance(read.prompt, str) else read.prompt
    if any(isinstance(p, (int, list)) for p in prompts):
        raise refused("prompt", "holds token ids: send text")
    if len(prompts) != 1 or not isinstance(prompts[0], str):
        raise refused("prompt", f"must be one text, got {len(prompts)}: send one request for each")
    if read.echo:
        raise refused("echo", "is not supported: the prompt is not given back")
    if read.suffix:
        raise refused("suffix", "is not supported: answers are not inserted into texts")
    return GatewayRequest(
        model=gateway_request.model(read),
        messages=(Message(role="user", content=prompts[0]),),
        overrides=gateway_request.overrides(
            read,
            max_tokens=read.max_tokens,
            logprobs=read.logprobs,
            body={k: v for k, v in said.items() if k not in _OWN_COMPLETION},
        ),
        n=read.n or 1,
        seed=read.seed,
        stream=bool(read.stream),
        include_usage=bool(read.stream_options and read.stream_options.include_usage),
        nbest=gateway_request.nbest(said, read),
    )


def _message(turn: dict[str, Json], read: _Turn, at: str) -> Message:
    if not read.role:
        raise refused(f"{at}.role", "is empty: say system, developer, user, assistant or tool")
    if read.role == "user" and read.content in (None, []):
        raise refused(f"{at}.content", "is missing: a user says a text, or a list of parts")
    fields = {k: v for k, v in turn.items() if k not in {"role", "content"} and v is not None}
    if not isinstance(read.content, list):
        return Message(role=read.role, content=read.content or "", fields=fields)
    for i, part in enumerate(read.content):
        _check_part(part, f"{at}.content[{i}]")
    return replace(gateway_request.of_parts(read.role, read.content), fields=fields)


def _check_part(part: dict[str, Json], at: str) -> None:
    kind = part.get("type")
    if not isinstance(kind, str):
        raise refused(f"{at}.type", "must be a string such as text, image_url, input_audio or file")
    if kind in _PARTS and not isinstance(part.get(kind), str if kind in {"text", "refusal"} else (str, dict)):
        raise refused(f"{at}.{kind}", "is missing, or not of the type that this part has")


def _check_format(read: _Chat) -> None:
    wanted = read.response_format
    if wanted and wanted.type == "json_schema" and not wanted.json_schema:
        raise refused("response_format.json_schema", "is missing")


def _check_tools(read: _Chat, body: dict[str, Json]) -> None:
    for i, tool in enumerate(read.tools or ()):
        if tool.type != "function":
            raise refused(f"tools[{i}].type", f"must be function, got {tool.type!r}")
        if not tool.function:
            raise refused(f"tools[{i}].function", "is missing")
    check_choice(read.tools, read.tool_choice, body)


def check_choice(tools: Sequence[Json] | None, choice: Json, body: dict[str, Json]) -> None:
    """Without tools, what is said about them goes from the body, unless it asks for one."""
    if tools:
        return
    if choice not in (None, "none", "auto"):
        raise refused("tool_choice", "asks for a tool, but tools is empty")
    for key in _TOOL_KEYS:
        body.pop(key, None)
