"""Bodies of requests to OpenAI's completions APIs."""

from __future__ import annotations

from nbest.errors import CapabilityError
from nbest.text.raw_prompt import raw_text
from nbest.types import Json, Message, Request


def chat_body(request: Request, model: str) -> dict[str, Json]:
    """Body of POST /chat/completions; a prefix is a trailing assistant message.

    Temperature and top_p are always sent; other fields at OpenAI's default are left out. Messages and the
    client's own fields (`own_fields`) are sent unchanged.
    """
    messages = [_turn(m) for m in request.prompt.messages]
    if request.prefix:
        messages.append({"role": "assistant", "content": request.prefix})
    body = {**own_fields(request), "model": model, "messages": messages, **_params(request)}
    if request.params.logprobs is not None:
        body["logprobs"] = True
        if request.params.logprobs:
            body["top_logprobs"] = request.params.logprobs
    return body


def text_body(request: Request, model: str) -> dict[str, Json]:
    """Body of POST /completions, for models without a chat template (see `raw_text`).

    Raises `CapabilityError` for tools and for parts of messages that are no text.
    """
    own = own_fields(request)
    lacking = [k for k in ("tools", "functions") if own.get(k)]
    if any("tool_calls" in m.fields or "function_call" in m.fields for m in request.prompt.messages):
        lacking.append("tool calls")
    lacking += [
        f"a part of type {p.get('type')!r}"
        for m in request.prompt.messages
        for p in m.parts
        if "text" not in p
    ]
    if lacking:
        raise CapabilityError(f'mode="completions" sends text alone, and cannot hold: {", ".join(lacking)}')
    body = {**own, "model": model, "prompt": raw_text(request.prompt) + request.prefix, **_params(request)}
    if request.params.logprobs is not None:
        body["logprobs"] = request.params.logprobs
    return body


_NOT_OWN = frozenset(
    {"model", "messages", "prompt", "n", "best_of", "stream", "stream_options"}
    | {"max_tokens", "max_completion_tokens", "n_predict"}
)
"""Fields set here and never by a client, under any server's name: how much is drawn is counted and limited here."""
_FOR_ANY_ROLE = frozenset({"response_format", "tools", "tool_choice", "parallel_tool_calls"})
"""Fields that hold for every call that may write the answer, a fusor's too."""


def own_fields(request: Request) -> dict[str, Json]:
    """The fields of the client's body that belong into the body for `request`."""
    overrides = request.prompt.overrides
    if overrides is None or not overrides.body:
        return {}
    is_policy = request.role == "policy"
    return {
        k: v for k, v in overrides.body.items() if k not in _NOT_OWN and (is_policy or k in _FOR_ANY_ROLE)
    }


def _turn(message: Message) -> dict[str, Json]:
    content: Json = list(message.parts) or message.content
    if not content and ("tool_calls" in message.fields or "function_call" in message.fields):
        content = None
    return {"role": message.role, "content": content, **message.fields}


def _params(request: Request) -> dict[str, Json]:
    p = request.params
    fields: dict[str, Json] = {"temperature": p.temperature, "top_p": p.top_p, "max_tokens": p.max_tokens}
    if request.n > 1:
        fields["n"] = request.n
    if p.stop:
        fields["stop"] = p.stop
    if p.seed is not None:
        fields["seed"] = p.seed
    if p.min_p > 0:
        fields["min_p"] = p.min_p
    if p.top_k > 0:
        fields["top_k"] = p.top_k
    return fields
