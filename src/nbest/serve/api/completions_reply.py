"""What POST /v1/completions sends in one piece; this API knows neither tool calls nor refusals."""

from __future__ import annotations

from itertools import accumulate

from nbest.serve.api.reply import Choice, Reply, finite, usage_shape
from nbest.types import Json


def completion_reply(reply: Reply) -> dict[str, Json]:
    """A legacy completion."""
    return {
        "id": reply.id,
        "object": "text_completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [_choice(i, choice) for i, choice in enumerate(reply.choices)],
        "usage": usage_shape(reply.usage),
        "nbest": reply.nbest,
    }


def text_logprobs(choice: Choice) -> dict[str, Json] | None:
    """One list for each property; `text_offset` counts characters of the answer."""
    logprobs = choice.logprobs
    if logprobs is None:
        return None

    ends = accumulate(map(len, logprobs.tokens), initial=0)
    return {
        "tokens": logprobs.tokens,
        "token_logprobs": [finite(v) for v in logprobs.values],
        "top_logprobs": [{t: finite(v) for t, v in top.items()} for top in logprobs.top] or None,
        "text_offset": list(ends)[: len(logprobs.tokens)],
    }


def text_finish(choice: Choice) -> str:
    """A refusal is `content_filter`, and an answer of tool calls has stopped."""
    if choice.refusal:
        return "content_filter"
    return "stop" if choice.finish == "tool_calls" else choice.finish


def _choice(index: int, choice: Choice) -> dict[str, Json]:
    return {
        "index": index,
        "text": choice.text,
        "finish_reason": text_finish(choice),
        "logprobs": text_logprobs(choice),
    }
