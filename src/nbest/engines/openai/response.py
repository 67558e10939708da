"""Completions from the replies of OpenAI-compatible servers."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from nbest.engines.openai.reasoning_fields import reasoning_field, reasoning_text
from nbest.engines.openai.reply_logprobs import completion_logprobs, num_tokens
from nbest.engines.openai.server_reply import ServerChoice, ServerReply, plain_text
from nbest.engines.openai.tool_calls import tool_calls
from nbest.engines.openai.usage import token_counts, with_usage
from nbest.engines.surrogates import well_formed
from nbest.errors import EngineProtocolError
from nbest.http_errors import error_text
from nbest.types import Completion, Finish, Json, SamplingParams, ToolCall

_FINISH: Mapping[str | None, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "filtered",
    "abort": "error",
    "error": "error",
}
"""Everything else (stop, eos, end_turn, tool_calls, null, …) is a text that ended by itself."""


def completions(
    reply: ServerReply, params: SamplingParams, *, used_ids: Collection[str] = ()
) -> list[Completion]:
    """The completions of a reply, in the order of their index; `used_ids` are those of earlier tool calls.

    A choice without text that says why (length: it all went into reasoning) is a failed completion with
    its usage, and so is a refusal, what a content filter cut, and one with a malformed call. Raises
    `EngineProtocolError` for no choices, and for choices that are all empty without a reason.
    """
    if not reply.choices:
        if reply.error is not None:
            message = error_text(_encoded(reply.error))
            raise EngineProtocolError(f"the server answered with an error: {message}")
        raise EngineProtocolError("the server's reply has no choices")
    choices = sorted(reply.choices, key=lambda c: c.index)
    drawn = [_completion(c, params, used_ids) for c in choices]
    if all(d.error and _is_empty(c) for d, c in zip(drawn, choices, strict=True)):
        raise EngineProtocolError(f"the server's reply has no text: {drawn[0].error}")
    return with_usage(
        drawn,
        token_counts(reply.usage),
        by_choice=[_num_tokens(c) for c in choices],
        max_tokens=params.max_tokens,
    )


def field_of_reasoning(reply: ServerReply) -> str | None:
    """The name under which a reply holds reasoning; None where it holds none."""
    messages = [c.message for c in reply.choices or () if c.message]
    fields = [reasoning_field(m) for m in messages]
    return next((name for name in fields if name), None)


def has_logprobs(reply: ServerReply) -> bool:
    """Whether a server sends log-probabilities, damaged ones included."""
    return any(c.logprobs is not None for c in reply.choices or ())


def has_text(reply: ServerReply) -> bool:
    """Whether a reply holds a text that would have log-probabilities: calls, refusals and empty texts may have none."""
    return any(c.text or (c.message and plain_text(c.message.content)) for c in reply.choices or ())


class _Content(NamedTuple):
    """What a choice says, or why it says nothing."""

    text: str | None
    calls: tuple[ToolCall, ...] = ()
    error: str | None = None


def _completion(choice: ServerChoice, params: SamplingParams, used_ids: Collection[str]) -> Completion:
    """One choice, without its usage."""
    text, calls, error = _content(choice, used_ids)
    finish = _FINISH.get(choice.finish_reason, "stop")
    refusal = _refusal(choice)
    if refusal:
        text, finish, error = refusal, "refused", f"the model refused: {well_formed(refusal)}"
    elif finish == "filtered" or (finish == "error" and error is None):
        error = f"the server cut the text: {choice.finish_reason}"
    elif error:
        finish = "error"

    logprobs = None
    if params.logprobs is not None and choice.logprobs is not None:
        logprobs = completion_logprobs(choice.logprobs, num_top=params.logprobs)
    if error is not None:
        calls = ()
    return Completion(
        text=well_formed(text or ""),
        finish=finish,
        logprobs=logprobs,
        error=error,
        stopped_by=_stopped_by(choice),
        tool_calls=calls,
        reasoning=_reasoning(choice),
    )


def _reasoning(choice: ServerChoice) -> str | None:
    if choice.message is None:
        return None
    reasoning = reasoning_text(choice.message)
    if not reasoning:
        return None
    return well_formed(reasoning)


def _content(choice: ServerChoice, used_ids: Collection[str]) -> _Content:
    message = choice.message
    if message is None:
        return _text_content(choice.text, choice)
    text = plain_text(message.content)
    try:
        calls = tool_calls(message.tool_calls, message.function_call, used_ids=used_ids)
    except ValueError as e:
        if _FINISH.get(choice.finish_reason) == "length":
            return _Content(text, error="a tool call was truncated: raise max_tokens")
        return _Content(text, error=f"a malformed tool call: {e}")
    if calls:
        return _Content(text, calls)
    return _text_content(text, choice)


def _text_content(text: str | None, choice: ServerChoice) -> _Content:
    if text is None:
        return _Content(None, error=_why_no_text(choice))
    return _Content(text)


def _is_empty(choice: ServerChoice) -> bool:
    """Whether it has nothing, and no reason for that."""
    message = choice.message
    has_more = message and (message.tool_calls or message.function_call or message.refusal)
    return not has_more and choice.finish_reason in {None, "stop"}


def _refusal(choice: ServerChoice) -> str | None:
    """The model's refusal, where the message holds nothing else."""
    message = choice.message
    if message is None:
        return None
    if plain_text(message.content) or message.tool_calls or message.function_call:
        return None
    return message.refusal


def _stopped_by(choice: ServerChoice) -> str | None:
    """The stop string, where the server names one; ids of tokens that end a text are none."""
    named: Sequence[Json] = (choice.stop_reason, choice.matched_stop)
    for name in named:
        if isinstance(name, str) and name:
            return well_formed(name)
    return None


def _why_no_text(choice: ServerChoice) -> str:
    if choice.finish_reason == "length":
        return "no text: every token went into reasoning; raise max_tokens"
    return f"no text (finish_reason {choice.finish_reason or 'null'})"


def _num_tokens(choice: ServerChoice) -> int | None:
    """Of one choice, where the server counts each, or from its log-probabilities."""
    counted = token_counts(choice.usage).completion
    if counted is not None:
        return counted
    return num_tokens(choice.logprobs)


def _encoded(error: Json) -> bytes:
    """An error object as it stood in the reply."""
    return json.dumps({"error": error}).encode()
