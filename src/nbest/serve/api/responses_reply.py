"""What POST /v1/responses sends in one piece: the response object and its output items.

Source: OpenAI's API reference, "Responses".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbest.serve.api.reply import Choice, Reply, token_rows
from nbest.types import Json, ToolCall

_DEFAULTS: Mapping[str, Json] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}
_TOOL_DEFAULTS: Mapping[str, Json] = {"description": None, "parameters": None, "strict": None}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete, by the finish of its answer."""


def responses_reply(reply: Reply) -> dict[str, Json]:
    """A response object, made from the first choice."""
    reasoning = reply.choices[0].reasoning
    before = [reasoning_item(reply.id, "", reasoning)] if reasoning else []
    return whole_response(reply, before, has_message=False)


def response_shape(reply: Reply, status: str) -> dict[str, Json]:
    """A response without output."""
    echo = dict(reply.echo)
    if "tools" in echo:
        echo["tools"] = [{**_TOOL_DEFAULTS, **tool} for tool in echo["tools"]]
    return {
        "id": reply.id,
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": reply.model,
        "output": [],
        "usage": None,
        **_DEFAULTS,
        **echo,
    }


def whole_response(reply: Reply, before: Sequence[Json], *, has_message: bool) -> dict[str, Json]:
    """The response with its output: `before`, then the message, then the calls.

    An answer of calls alone has no message, unless a stream has begun one (`has_message`).
    """
    choice = reply.choices[0]
    output = [*before]
    if has_message or choice.text or not choice.tool_calls:
        output.append(message_item(reply.id, choice))
    output += [_call_item(i, call, reply.id) for i, call in enumerate(choice.tool_calls)]

    reason = _INCOMPLETE.get(choice.finish)
    usage = reply.usage
    return response_shape(reply, "incomplete" if reason else "completed") | {
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": {
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
            "output_tokens": usage.completion,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.prompt + usage.completion,
        },
        "nbest": reply.nbest,
    }


def message_item(response_id: str, choice: Choice | None) -> dict[str, Json]:
    """The answer as an item; None is one that has just begun."""
    status, content = "in_progress", []
    if choice is not None:
        status = "incomplete" if choice.finish in _INCOMPLETE else "completed"
        content = [content_part(choice)]
    return {
        "id": item_id("msg", response_id),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def content_part(choice: Choice) -> dict[str, Json]:
    """The part that a message holds: a text or a refusal."""
    if choice.refusal is not None:
        return {"type": "refusal", "refusal": choice.refusal}
    rows = token_rows(choice.logprobs) if choice.logprobs else []
    return {"type": "output_text", "text": choice.text, "annotations": [], "logprobs": rows}


def reasoning_item(
    response_id: str, summary: str | None = None, reasoning: str | None = None
) -> dict[str, Json]:
    """Reasoning as an item. `summary` None is one that has just begun; `reasoning` None leaves its content out."""
    item: dict[str, Json] = {
        "id": item_id("rs", response_id),
        "type": "reasoning",
        "status": "in_progress" if summary is None else "completed",
        "summary": [summary_part(summary)] if summary else [],
    }
    if reasoning is not None:
        item["content"] = [reasoning_part(reasoning)]
    return item


def reasoning_part(text: str) -> dict[str, Json]:
    """The content of a reasoning item."""
    return {"type": "reasoning_text", "text": text}


def summary_part(text: str) -> dict[str, Json]:
    """The summary of a reasoning item."""
    return {"type": "summary_text", "text": text}


def item_id(kind: str, response_id: str) -> str:
    """The id of an item of a response, of which there is one of each kind."""
    return f"{kind}_{response_id.removeprefix('resp_')}"


def _call_item(index: int, call: ToolCall, response_id: str) -> dict[str, Json]:
    return {
        "id": item_id(f"fc{index}", response_id),
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }
