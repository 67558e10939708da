"""What POST /v1/chat/completions sends in one piece."""

from __future__ import annotations

from collections.abc import Sequence

from nbest.serve.api.reply import Choice, Reply, token_rows, usage_shape
from nbest.types import Json, ToolCall


def chat_reply(reply: Reply) -> dict[str, Json]:
    """A chat completion."""
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [_choice(i, choice) for i, choice in enumerate(reply.choices)],
        "usage": usage_shape(reply.usage),
        "nbest": reply.nbest,
    }


def tool_calls(calls: Sequence[ToolCall]) -> list[Json]:
    """Calls in the shape of chat."""
    return [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in calls
    ]


def chat_logprobs(choice: Choice) -> dict[str, Json] | None:
    """One row for each token; None where there are no log-probabilities."""
    return {"content": token_rows(choice.logprobs), "refusal": None} if choice.logprobs else None


def _choice(index: int, choice: Choice) -> dict[str, Json]:
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
        "logprobs": chat_logprobs(choice),
    }
