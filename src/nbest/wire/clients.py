"""What a gateway reads from its clients, and what it sends them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbest.errors import InputError
from nbest.types import Completion, Json, Logprobs, Message, Prompt, SamplingParams, Usage

_FINISH = {"stop": "stop", "length": "length", "error": "content_filter"}
_MAX_N = 1024


class _Part(msgspec.Struct):
    type: str = "text"
    text: str | None = None


class _Turn(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ChatAsk(msgspec.Struct):
    """Body of POST /chat/completions; None is "not said". Unknown keys are let through unread."""

    model: str
    messages: list[_Turn]
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None

    def prompt(self, id_: str) -> Prompt:
        """The conversation. Raises `InputError` for a part that is no text."""
        messages = tuple(Message(role=t.role, content=_content(t)) for t in self.messages)
        return Prompt(id=id_, messages=messages)

    def params(self, default: SamplingParams) -> SamplingParams:
        """`default`, changed by what the client says."""
        top = self.top_logprobs if self.logprobs and self.top_logprobs is not None else 0
        said = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "stop": (self.stop,) if isinstance(self.stop, str) else tuple(self.stop) if self.stop else None,
            "seed": self.seed,
            "logprobs": top if self.logprobs else None,
        }
        return msgspec.structs.replace(default, **{k: v for k, v in said.items() if v is not None})


_ask = msgspec.json.Decoder(ChatAsk)


def read_chat(raw: bytes) -> ChatAsk:
    """A client's body. Raises `InputError` with the place of the first thing that does not fit."""
    try:
        ask = _ask.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise InputError(f"the request is not one of OpenAI's chat completions: {e}") from None
    if not ask.messages:
        raise InputError("messages is empty: send at least one")
    if ask.n is not None and not 1 <= ask.n <= _MAX_N:
        raise InputError(f"n must be from 1 to {_MAX_N}, got {ask.n}")
    limit = ask.max_completion_tokens if ask.max_completion_tokens is not None else ask.max_tokens
    if limit is not None and limit < 1:
        raise InputError(f"max_tokens must be at least 1, got {limit}")
    if ask.temperature is not None and ask.temperature < 0:
        raise InputError(f"temperature must not be negative, got {ask.temperature:g}")
    return ask


def chat_reply(
    completions: Sequence[Completion], usage: Usage, *, id_: str, model: str, created: int
) -> dict[str, Json]:
    """A chat completion with one choice per completion; `usage` is what all of it cost, `created` is Unix time."""
    return {
        "id": id_,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [_choice(i, c) for i, c in enumerate(completions)],
        "usage": {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
            "prompt_tokens_details": {"cached_tokens": usage.cached},
        },
    }


def models_reply(names: Sequence[str], *, created: int) -> dict[str, Json]:
    """What GET /models says."""
    rows = [{"id": n, "object": "model", "created": created, "owned_by": "nbest"} for n in names]
    return {"object": "list", "data": rows}


def error_reply(
    message: str, *, kind: str = "invalid_request_error", param: str | None = None
) -> dict[str, Json]:
    """An error in the shape that every OpenAI client shows."""
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def _content(turn: _Turn) -> str:
    if not isinstance(turn.content, list):
        return turn.content or ""
    if odd := next((p.type for p in turn.content if p.text is None), None):
        raise InputError(f"a message has a part of type {odd!r}: only text is understood")
    return "".join(p.text or "" for p in turn.content)


def _choice(index: int, completion: Completion) -> dict[str, Json]:
    return {
        "index": index,
        "message": {"role": "assistant", "content": completion.text},
        "finish_reason": _FINISH[completion.finish],
        "logprobs": _logprobs(completion.logprobs) if completion.logprobs else None,
    }


def _logprobs(found: Logprobs) -> dict[str, Json]:
    nothing: dict[str, float] = {}
    rows = zip(found.tokens, found.values, found.top or (nothing,) * len(found.tokens), strict=True)
    return {
        "content": [
            {**_token(t, v), "top_logprobs": [_token(a, w) for a, w in top.items()]} for t, v, top in rows
        ]
    }


def _token(text: str, logprob: float) -> dict[str, Json]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
