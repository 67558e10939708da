"""The shapes of what OpenAI-compatible servers reply, and reading them."""

from __future__ import annotations

from typing import Any

import msgspec

from nbest.engines.openai.lenient_json import LenientDecoder
from nbest.engines.openai.tool_calls import CallDelta, FunctionDelta
from nbest.types import Json

Content = str | list[dict[str, Json]] | None
"""A text, or a list of parts with texts among them."""


class ServerMessage(msgspec.Struct):
    content: Content = None
    refusal: str | None = None
    reasoning_content: Json = None
    reasoning: Json = None
    tool_calls: Json = None
    function_call: Json = None


class TokenAlternative(msgspec.Struct):
    token: str
    logprob: float | None


class TokenLogprob(msgspec.Struct):
    token: str
    logprob: float | None
    top_logprobs: list[TokenAlternative] | None = None


class ServerLogprobs(msgspec.Struct):
    """Both shapes: `content` of chat, the rest of legacy completions."""

    content: list[TokenLogprob] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None
    text_offset: list[int] | None = None


class ServerChoice(msgspec.Struct):
    index: int = 0
    message: ServerMessage | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: ServerLogprobs | None = None
    stop_reason: Json = None
    """vLLM: the stop string, or the id of a stop token."""
    matched_stop: Json = None
    """The same from SGLang."""
    usage: Json = None
    """Of this choice alone, where a stream counts each (llama.cpp)."""


class PromptToken(msgspec.Struct):
    logprob: float | None
    decoded_token: str | None = None


class ServerReply(msgspec.Struct):
    choices: list[ServerChoice] | None = None
    usage: Json = None
    error: Json = None
    prompt_logprobs: list[dict[str, PromptToken] | None] | None = None


class MessageDelta(msgspec.Struct):
    content: Content = None
    refusal: str | None = None
    reasoning_content: Json = None
    reasoning: Json = None
    tool_calls: list[CallDelta] | None = None
    function_call: FunctionDelta | None = None


class ChoiceDelta(msgspec.Struct):
    """What one chunk of a stream adds to one choice."""

    index: int = 0
    delta: MessageDelta | None = None
    message: MessageDelta | None = None
    """Some servers send this instead of `delta`, or the whole message beside the last one."""
    text: str | None = None
    finish_reason: str | None = None
    logprobs: ServerLogprobs | None = None
    stop_reason: Json = None
    matched_stop: Json = None


class Timings(msgspec.Struct):
    """What llama.cpp has computed so far, where it is asked to say so with each token."""

    cache_n: int = 0
    prompt_n: int = 0
    predicted_n: int = 0


class Chunk(msgspec.Struct):
    choices: list[ChoiceDelta] | None = None
    usage: Json = None
    error: Json = None
    timings: Timings | None = None


class ServedModel(msgspec.Struct):
    id: str
    owned_by: Json = None


class ServedModels(msgspec.Struct):
    data: list[ServedModel]


_SIDE_FIELDS: dict[str, Any] = {
    "index": int,
    "finish_reason": str | None,
    "logprobs": ServerLogprobs | None,
    "refusal": str | None,
}
_CHUNK_SIDE_FIELDS: dict[str, Any] = {
    **_SIDE_FIELDS,
    "message": MessageDelta | None,
    "timings": Timings | None,
}
_reply = LenientDecoder(ServerReply, side_fields=_SIDE_FIELDS)
_chunk = LenientDecoder(Chunk, side_fields=_CHUNK_SIDE_FIELDS)
_models = LenientDecoder(ServedModels)


def parse_reply(raw: bytes) -> ServerReply:
    """A reply in one piece, of either API. Raises `EngineProtocolError`."""
    return _reply.decode(raw)


def parse_chunk(data: bytes) -> Chunk:
    """One chunk of a streamed reply, of either API. Raises `EngineProtocolError`."""
    return _chunk.decode(data)


def models(raw: bytes) -> dict[str, str | None]:
    """Model id → owner, from GET /models; many servers name themselves as owners. Raises `EngineProtocolError`."""
    return {
        model.id: model.owned_by if isinstance(model.owned_by, str) else None
        for model in _models.decode(raw).data
    }


def plain_text(content: Content) -> str | None:
    """The text of a content that may be a list of parts."""
    if not isinstance(content, list):
        return content
    return "".join(str(part.get("text", "")) for part in content)
