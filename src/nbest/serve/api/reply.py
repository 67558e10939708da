"""What a gateway sends its clients in one piece: chat completions, legacy completions, models, errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal

from nbest.types import Json, Logprobs, ToolCall, Usage, Value

ChoiceFinish = Literal["stop", "length", "tool_calls", "content_filter"]
_LEAST_LOGPROB = -9999.0
"""OpenAI's word for a token that is next to impossible; JSON has no infinity."""
_IN_BYTES = re.compile(r"bytes:(\\x[0-9a-f]{2})+")
"""OpenAI's word for a token that is a part of a character."""


class Choice(Value, frozen=True, kw_only=True):
    """One answer. Its `logprobs` are sent where the client asked for them: leave them out otherwise."""

    text: str
    finish: ChoiceFinish = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: Logprobs | None = None
    refusal: str | None = None
    """The model's words for not answering, instead of a text."""
    reasoning: str | None = None
    """What it thought before; clients know it as `reasoning_content`, as DeepSeek's API and llama.cpp call it."""


class Reply(Value, frozen=True, kw_only=True):
    """What answers an `Ask`, whichever API it came by."""

    id: str
    """chatcmpl-…, resp_… or cmpl-…"""
    model: str
    created: int
    """Unix time, in seconds."""
    choices: tuple[Choice, ...]
    usage: Usage = Usage()
    """Of everything that was spent, all roles together."""
    nbest: Mapping[str, Json] = {}
    """How the answer came about."""
    echo: Mapping[str, Json] = {}
    """`Ask.echo`."""


def chat_reply(reply: Reply) -> dict[str, Json]:
    """A chat completion."""
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [_chat_choice(i, c) for i, c in enumerate(reply.choices)],
        "usage": usage_shape(reply.usage),
        "nbest": reply.nbest,
    }


def completion_reply(reply: Reply) -> dict[str, Json]:
    """A legacy completion, which cannot say tool calls."""
    return {
        "id": reply.id,
        "object": "text_completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [
            {
                "index": i,
                "text": c.text,
                "finish_reason": text_finish(c),
                "logprobs": text_logprobs(c.logprobs) if c.logprobs else None,
            }
            for i, c in enumerate(reply.choices)
        ],
        "usage": usage_shape(reply.usage),
        "nbest": reply.nbest,
    }


def models_reply(names: Sequence[str], *, created: int) -> dict[str, Json]:
    """What GET /models says."""
    rows = [{"id": n, "object": "model", "created": created, "owned_by": "nbest"} for n in names]
    return {"object": "list", "data": rows}


def error_reply(
    message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> dict[str, Json]:
    """An error in the shape that every OpenAI client shows; `code` is invalid_api_key, model_not_found, …"""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def usage_shape(usage: Usage) -> dict[str, Json]:
    """Tokens, in the words of both completions APIs."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def tool_calls(calls: Sequence[ToolCall]) -> list[Json]:
    """Calls in the shape of chat."""
    return [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in calls
    ]


def chat_logprobs(found: Logprobs) -> dict[str, Json]:
    """One row per token."""
    return {"content": token_rows(found), "refusal": None}


def token_rows(found: Logprobs) -> list[Json]:
    """Tokens with their likeliest alternatives, as in chat and in the Responses API."""
    nothing: dict[str, float] = {}
    rows = zip(found.tokens, found.values, found.top or (nothing,) * len(found.tokens), strict=True)
    return [{**_token(t, v), "top_logprobs": [_token(a, w) for a, w in top.items()]} for t, v, top in rows]


def text_logprobs(found: Logprobs) -> dict[str, Json]:
    """One list per property; `text_offset` counts characters of the answer."""
    return {
        "tokens": found.tokens,
        "token_logprobs": [_finite(v) for v in found.values],
        "top_logprobs": [{t: _finite(v) for t, v in top.items()} for top in found.top] or None,
        "text_offset": list(accumulate(map(len, found.tokens), initial=0))[: len(found.tokens)],
    }


def text_finish(choice: Choice) -> str:
    """The same without tool calls and refusals, which legacy completions cannot say."""
    if choice.refusal:
        return "content_filter"
    return "stop" if choice.finish == "tool_calls" else choice.finish


def _chat_choice(index: int, choice: Choice) -> dict[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": choice.text, "refusal": choice.refusal}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls or choice.refusal:
        message["content"] = choice.text or None
    if choice.tool_calls:
        message["tool_calls"] = tool_calls(choice.tool_calls)
    return {
        "index": index,
        "message": message,
        "finish_reason": choice.finish,
        "logprobs": chat_logprobs(choice.logprobs) if choice.logprobs else None,
    }


def _token(text: str, logprob: float) -> dict[str, Json]:
    return {"token": text, "logprob": _finite(logprob), "bytes": _bytes(text)}


def _bytes(token: str) -> list[int]:
    """UTF-8; none of a part of a character of which nobody said which part."""
    if _IN_BYTES.fullmatch(token):
        return list(bytes.fromhex(token.removeprefix("bytes:").replace("\\x", "")))
    return [] if "\ufffd" in token else list(token.encode())


def _finite(logprob: float) -> float:
    return max(logprob, _LEAST_LOGPROB)
