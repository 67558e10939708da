"""The conversation of a Responses request as turns of chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from nbest.serve.api.bad_request import invalid
from nbest.serve.api.common_fields import convert, message_of_parts
from nbest.types import Json, Message, replace

STATELESS = "is not supported, since nothing is stored: send the whole conversation as input"
_KNOWN_PARTS = "input_text, output_text, input_image with image_url, input_audio, input_file with file_data"


class _MessageItem(msgspec.Struct):
    role: str
    content: str | list[dict[str, Json]]


class _CallItem(msgspec.Struct):
    call_id: str
    name: str
    arguments: str


class _CallOutputItem(msgspec.Struct):
    call_id: str
    output: str | list[dict[str, Json]]


def messages_of(instructions: str | None, items: str | Sequence[dict[str, Json]]) -> tuple[Message, ...]:
    """The instructions as a system turn, then the input.

    Calls in a row become one assistant turn, and reasoning goes with the assistant's message or call behind
    it, as `reasoning_content`. Raises `BadRequestError` for an item that is not known, or no items.
    """
    system = [Message(role="system", content=instructions)] if instructions else []
    if isinstance(items, str):
        return (*system, Message(role="user", content=items))

    turns: list[Message] = []
    reasoning = ""
    for i, item in enumerate(items):
        at = f"input[{i}]"
        match _kind(item):
            case "reasoning":
                reasoning = _joined(reasoning, _reasoning_text(item))
                continue
            case "message":
                turns.append(_message_turn(item, at, reasoning))
            case "function_call":
                _add_call(turns, item, at, reasoning)
            case "function_call_output":
                turns.append(_output_turn(item, at))
            case "item_reference":
                raise invalid(at, STATELESS)
            case kind:
                known = "message, function_call or function_call_output"
                raise invalid(f"{at}.type", f"must be {known}, got {kind!r}")
        reasoning = ""

    if not turns:
        raise invalid("input", "has no turn: send at least one")
    return (*system, *turns)


def _kind(item: Mapping[str, Json]) -> Json:
    """The item's type; one without a type but with a role is a message."""
    return item.get("type") or ("message" if "role" in item else None)


def _message_turn(item: dict[str, Json], at: str, reasoning: str) -> Message:
    fields = convert(item, _MessageItem, at)
    turn = _turn(fields.role, fields.content, f"{at}.content")
    return _with_reasoning(turn, reasoning) if turn.role == "assistant" else turn


def _add_call(turns: list[Message], item: dict[str, Json], at: str, reasoning: str) -> None:
    """Puts a call into the assistant's turn at the end of `turns`, or into a new one."""
    fields = convert(item, _CallItem, at)
    if not turns or turns[-1].role != "assistant":
        turns.append(Message(role="assistant"))

    turn = _with_reasoning(turns[-1], reasoning)
    function = {"name": fields.name, "arguments": fields.arguments}
    call = {"id": fields.call_id, "type": "function", "function": function}
    calls = [*turn.fields.get("tool_calls", ()), call]
    turns[-1] = replace(turn, fields={**turn.fields, "tool_calls": calls})


def _output_turn(item: dict[str, Json], at: str) -> Message:
    fields = convert(item, _CallOutputItem, at)
    turn = _turn("tool", fields.output, f"{at}.output")
    return replace(turn, fields={"tool_call_id": fields.call_id})


def _turn(role: str, content: str | Sequence[dict[str, Json]], at: str) -> Message:
    if not role:
        raise invalid(f"{at.rpartition('.')[0]}.role", "is empty: say system, developer, user or assistant")
    if isinstance(content, str):
        return Message(role=role, content=content)
    return message_of_parts(role, [_chat_part(part, f"{at}[{i}]") for i, part in enumerate(content)])


def _chat_part(part: Mapping[str, Json], at: str) -> dict[str, Json]:
    match part:
        case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "refusal", "refusal": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": str(url)}:
            detail = {k: part[k] for k in ("detail",) if part.get(k)}
            return {"type": "image_url", "image_url": {"url": url, **detail}}
        case {"type": "input_audio", "input_audio": dict()}:
            return dict(part)
        case {"type": "input_file", "file_data": str()} | {"type": "input_file", "file_id": str()}:
            file = {k: part[k] for k in ("file_data", "file_id", "filename") if part.get(k) is not None}
            return {"type": "file", "file": file}
        case _:
            raise invalid(at, f"is not understood: parts are {_KNOWN_PARTS}")


def _reasoning_text(item: Mapping[str, Json]) -> str:
    """The model's own reasoning; a summary of it is not passed on."""
    match item.get("content"):
        case [*parts]:
            return _joined(*map(_reasoning_part, parts))
        case _:
            return ""


def _reasoning_part(part: Json) -> str:
    match part:
        case {"type": "reasoning_text", "text": str(text)}:
            return text
        case _:
            return ""


def _with_reasoning(turn: Message, reasoning: str) -> Message:
    if not reasoning:
        return turn
    joined = _joined(turn.fields.get("reasoning_content", ""), reasoning)
    return replace(turn, fields={**turn.fields, "reasoning_content": joined})


def _joined(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))
