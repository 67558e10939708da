"""An answer to a request, and the parts of it that several APIs write alike: usage, log-probabilities, errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from nbest.types import Json, Logprobs, ToolCall, Usage, Value

ChoiceFinish = Literal["stop", "length", "tool_calls", "content_filter"]
_LEAST_LOGPROB = -9999.0
"""What OpenAI sends for a token that is next to impossible; JSON has no infinity."""
_IN_BYTES = re.compile(r"bytes:(\\x[0-9a-f]{2})+")
"""How OpenAI writes a token that is a part of a character."""


class Choice(Value, frozen=True, kw_only=True):
    """One answer. `logprobs` are sent where they are there: leave them out where the client did not ask for them."""

    text: str
    finish: ChoiceFinish = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: Logprobs | None = None
    refusal: str | None = None
    """The model's words for not answering, instead of a text."""
    reasoning: str | None = None
    """The model's reasoning; chat completions have it as `reasoning_content`, as DeepSeek's API and llama.cpp do."""


class Reply(Value, frozen=True, kw_only=True):
    """What answers a `GatewayRequest`, whichever API it came by."""

    id: str
    """chatcmpl-…, resp_… or cmpl-…"""
    model: str
    created: int
    """Unix time, in seconds."""
    choices: tuple[Choice, ...]
    usage: Usage = Usage()
    """The sum over all calls and roles."""
    nbest: Mapping[str, Json] = {}
    """How the answer came about."""
    echo: Mapping[str, Json] = {}
    """`GatewayRequest.echo`."""


def error_reply(
    message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> dict[str, Json]:
    """An error in the shape that every OpenAI client shows; `code` is invalid_api_key, model_not_found, …"""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def usage_shape(usage: Usage) -> dict[str, Json]:
    """Tokens under their names in both completions APIs."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def token_rows(logprobs: Logprobs) -> list[Json]:
    """Tokens with their likeliest alternatives, as in chat and in the Responses API."""
    nothing: dict[str, float] = {}
    alternatives = logprobs.top or (nothing,) * len(logprobs.tokens)
    rows = zip(logprobs.tokens, logprobs.values, alternatives, strict=True)
    return [
        {**_token(token, value), "top_logprobs": [_token(other, v) for other, v in top.items()]}
        for token, value, top in rows
    ]


def finite(logprob: float) -> float:
    """`logprob`, or the least that is sent."""
    return max(logprob, _LEAST_LOGPROB)


def _token(text: str, logprob: float) -> dict[str, Json]:
    return {"token": text, "logprob": finite(logprob), "bytes": _bytes(text)}


def _bytes(token: str) -> Sequence[int]:
    """UTF-8; empty for a part of a character where the server did not say which part."""
    if _IN_BYTES.fullmatch(token):
        return list(bytes.fromhex(token.removeprefix("bytes:").replace("\\x", "")))
    return [] if "\ufffd" in token else list(token.encode())
