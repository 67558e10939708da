"""Calls of functions in a server's reply."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from nbest.types import Json, ToolCall


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, Json] | None = None
    """JSON as a text; some servers send the object itself."""


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


class FunctionDelta(msgspec.Struct):
    """A part of a call's name and arguments."""

    name: str | None = None
    arguments: str | dict[str, Json] | None = None


class CallDelta(msgspec.Struct):
    """A part of one call in a stream."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


def tool_calls(called: Json, legacy: Json) -> tuple[ToolCall, ...]:
    """Those of a message's `tool_calls`, or of the older `function_call`.

    Raises `ValueError` for a call without a name, and for arguments that are no JSON object.
    """
    if not (called or legacy):
        return ()
    try:
        calls = msgspec.convert(called or [], list[_Call])
        if not calls and legacy:
            calls = [_Call(function=msgspec.convert(legacy, _Function))]
        return tuple(_tool_call(i, c) for i, c in enumerate(calls))
    except (msgspec.DecodeError, RecursionError) as e:
        raise ValueError(str(e)) from None


def joined(deltas: Sequence[CallDelta]) -> list[dict[str, Json]]:
    """The calls that `deltas` are parts of, in the order of their `index`, as a reply in one piece has them.

    Some servers give parallel calls one index, a new id to each part, or the name with each.
    """
    calls: list[tuple[int, list[CallDelta]]] = []
    latest: dict[int, list[CallDelta]] = {}
    for delta in deltas:  # without an index, each is a whole call
        index = len(calls) if delta.index is None else delta.index
        if index not in latest or _begins_another(latest[index], delta):
            latest[index] = []
            calls.append((index, latest[index]))
        latest[index].append(delta)
    return [
        {
            "id": next((d.id for d in parts if d.id), None),
            "function": function([d.function for d in parts if d.function]),
        }
        for _, parts in sorted(calls, key=lambda call: call[0])
    ]


def function(parts: Sequence[FunctionDelta]) -> dict[str, Json]:
    """The function whose name and arguments came in `parts`."""
    whole = next((p.arguments for p in parts if isinstance(p.arguments, dict)), None)
    said = "".join(p.arguments for p in parts if isinstance(p.arguments, str))
    names = [p.name for p in parts if p.name]
    return {"name": names[0] if len(set(names)) == 1 else "".join(names), "arguments": whole or said}


def _begins_another(parts: Sequence[CallDelta], delta: CallDelta) -> bool:
    """Whether `delta`, which has a name and an id of its own, comes after a whole call."""
    named = delta.function.name if delta.function else None
    if not (delta.id and named) or delta.id in {d.id for d in parts}:
        return False
    begun = function([d.function for d in parts if d.function])
    if not (said := begun["arguments"]):
        return named != begun["name"]
    if isinstance(said, str):
        try:
            msgspec.json.decode(said, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            return False
    return True


def _tool_call(index: int, call: _Call) -> ToolCall:
    name, said = call.function.name, call.function.arguments
    if not name:
        raise ValueError("a call without a name")
    arguments = said if isinstance(said, str) else msgspec.json.encode(said or {}).decode()
    arguments = arguments if arguments.strip() else "{}"
    msgspec.json.decode(arguments, type=dict[str, Any])
    made_up = hashlib.sha256(f"{index} {name} {arguments}".encode()).hexdigest()[:24]
    return ToolCall(id=call.id or f"call_{made_up}", name=name, arguments=arguments)
