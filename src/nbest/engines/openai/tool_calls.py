"""Tool calls in a server's reply, whole and in the deltas of a stream."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from nbest.engines.surrogates import SurrogateJoiner, well_formed
from nbest.types import Json, Prompt, ToolCall, ToolCallDelta


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


def call_ids(prompt: Prompt) -> frozenset[str]:
    """Ids of the tool calls in a conversation so far."""
    ids: set[str] = set()
    for message in prompt.messages:
        for call in message.fields.get("tool_calls") or ():
            match call:
                case {"id": str(id_)}:
                    ids.add(id_)
                case _:
                    pass
    return frozenset(ids)


def tool_calls(called: Json, legacy: Json, *, used_ids: Collection[str] = ()) -> tuple[ToolCall, ...]:
    """Those of a message's `tool_calls`, or of the older `function_call`.

    Ids are the server's; one that is missing, in `used_ids` or that of an earlier call of the message is
    replaced by a digest of the call, so that ids are unique over a conversation. Raises `ValueError` for a
    call without a name, and for arguments that are no JSON object.
    """
    if not (called or legacy):
        return ()
    try:
        calls = msgspec.convert(called or [], list[_Call])
        if not calls and legacy:
            calls = [_Call(function=msgspec.convert(legacy, _Function))]
        return _with_unique_ids(calls, set(used_ids))
    except (msgspec.DecodeError, RecursionError) as e:
        raise ValueError(str(e)) from None


def joined_calls(deltas: Sequence[CallDelta]) -> list[dict[str, Json]]:
    """The calls that `deltas` are parts of, in the order of their `index`, as a reply in one piece has them.

    Some servers give parallel calls one index, a new id to each part, or the name with each.
    """
    calls: list[tuple[int, list[CallDelta]]] = []
    latest: dict[int, list[CallDelta]] = {}
    for delta in deltas:
        index = delta.index
        if index is None:  # each is a whole call
            index = len(calls)
        if index not in latest or _begins_another(latest[index], delta):
            latest[index] = []
            calls.append((index, latest[index]))
        latest[index].append(delta)
    return [_joined_call(parts) for _, parts in sorted(calls, key=lambda call: call[0])]


def joined_function(parts: Sequence[FunctionDelta]) -> dict[str, Json]:
    """The function whose name and arguments came in `parts`."""
    objects = [p.arguments for p in parts if isinstance(p.arguments, dict)]
    text = "".join(p.arguments for p in parts if isinstance(p.arguments, str))
    names = [p.name for p in parts if p.name]
    is_repeated = len(set(names)) == 1
    name = "".join(names)
    if is_repeated:
        name = names[0]
    if objects and objects[0]:
        return {"name": name, "arguments": objects[0]}
    return {"name": name, "arguments": text}


def _joined_call(parts: Sequence[CallDelta]) -> dict[str, Json]:
    id_ = next((d.id for d in parts if d.id), None)
    functions = [d.function for d in parts if d.function]
    return {"id": id_, "function": joined_function(functions)}


def _begins_another(parts: Sequence[CallDelta], delta: CallDelta) -> bool:
    """Whether `delta`, which has a name and an id of its own, comes after a whole call."""
    name = (delta.function or FunctionDelta()).name
    if not (delta.id and name) or delta.id in {d.id for d in parts}:
        return False
    begun = joined_function([d.function for d in parts if d.function])
    arguments = begun["arguments"]
    if not arguments:
        return name != begun["name"]
    return not isinstance(arguments, str) or _is_object(arguments)


def _is_object(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def _with_unique_ids(calls: Sequence[_Call], used_ids: set[str]) -> tuple[ToolCall, ...]:
    found: list[ToolCall] = []
    for index, call in enumerate(calls):
        name, arguments = well_formed(call.function.name), _arguments(call.function)
        if not name:
            raise ValueError("a call without a name")
        id_ = well_formed(call.id or "")
        if not id_ or id_ in used_ids:
            id_ = _new_id(f"{index} {name} {arguments}", used_ids)
        used_ids.add(id_)
        found.append(ToolCall(id=id_, name=name, arguments=arguments))
    return tuple(found)


def _arguments(function: _Function) -> str:
    """As JSON text; an empty text means none. Raises `msgspec.DecodeError` where it is no object."""
    given = function.arguments
    if not isinstance(given, str):
        given = json.dumps(given or {}, ensure_ascii=False, separators=(",", ":"))
    text = well_formed(given)
    if not text.strip():
        return "{}"
    msgspec.json.decode(text, type=dict[str, Any])
    return text


def _new_id(call: str, used_ids: Collection[str]) -> str:
    """A digest of `call`, and of how often it was made before: the same reply has the same ids."""
    attempt, text = 0, call
    while True:
        id_ = f"call_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
        if id_ not in used_ids:
            return id_
        attempt += 1
        text = f"{attempt} {call}"


class ToolCallEmitter:
    """Emits the calls of a stream as they come.

    A delta that does not say by itself which call it belongs to, or whose id is taken, ends that: it and
    what follows come with the completion.
    """

    def __init__(self, used_ids: Collection[str] = ()) -> None:
        self._used_ids = set(used_ids)
        self._num_calls: int | None = 0
        """Begun so far; None once nothing more is emitted."""
        self._arguments: list[SurrogateJoiner] = []

    def emit(self, delta: CallDelta) -> ToolCallDelta | None:
        """What to emit for `delta`, if anything."""
        function = delta.function or FunctionDelta()
        begins = self._begins(delta, function)
        if not begins and not self._continues(delta, function):
            self._num_calls = None
        if self._num_calls is None or delta.index is None or isinstance(function.arguments, dict):
            self._num_calls = None
            return None

        id_: str | None = None
        if begins and delta.id:
            id_ = delta.id
            self._used_ids.add(id_)
            self._num_calls += 1
            self._arguments.append(SurrogateJoiner())
        arguments = self._arguments[delta.index].feed(function.arguments or "")
        return ToolCallDelta(index=delta.index, id=id_, name=function.name or "", arguments=arguments)

    def _begins(self, delta: CallDelta, function: FunctionDelta) -> bool:
        is_next = delta.index is not None and delta.index == self._num_calls
        has_new_id = delta.id is not None and delta.id not in {"", *self._used_ids}
        return is_next and has_new_id and bool(function.name)

    def _continues(self, delta: CallDelta, function: FunctionDelta) -> bool:
        if delta.index is None or self._num_calls is None:
            return False
        return 0 <= delta.index < self._num_calls and not function.name
