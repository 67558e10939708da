"""Replies of servers as JSON, read so that a fault in a side field costs that field and not the reply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

import msgspec

from nbest.errors import EngineProtocolError
from nbest.http_errors import error_text
from nbest.types import Json

_T = TypeVar("_T")
_MAX_SHOWN = 80
"""Characters of a reply that an error shows."""


class LenientDecoder(Generic[_T]):
    """Decodes JSON into the struct `kind`.

    What strict JSON lacks is accepted: a byte order mark, NaN and infinities (read as null), lone halves
    of surrogate pairs, and bytes that are not UTF-8 (read as U+FFFD). `side_fields` names types of fields of
    choices and of their messages; where one does not fit its type, it is left out.
    """

    def __init__(self, kind: type[_T], *, side_fields: Mapping[str, Any] | None = None) -> None:
        self._kind = kind
        self._side_fields = side_fields or {}
        self._strict = msgspec.json.Decoder(kind)

    def decode(self, raw: bytes) -> _T:
        """What `raw` says. Raises `EngineProtocolError` where it is not JSON or does not fit `kind`."""
        try:
            return self._strict.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            loose = _decode_loosely(raw)
        try:
            return msgspec.convert(self._without_faults(loose), self._kind)
        except msgspec.ValidationError as e:
            if b'"error"' in raw[:200]:
                raise EngineProtocolError(f"the server answered with an error: {error_text(raw)}") from None
            raise EngineProtocolError(f"the server's reply is not of OpenAI's shape: {e}") from None

    def _without_faults(self, reply: Json) -> Json:
        match reply:
            case {"choices": [*choices]}:
                return {**reply, "choices": [self._without_faulty_fields(c) for c in choices]}
            case _:
                return reply

    def _without_faulty_fields(self, choice: Json) -> Json:
        if not isinstance(choice, dict):
            return choice
        fields = cast("dict[str, Json]", choice)
        kept = {name: value for name, value in fields.items() if self._fits(name, value)}
        for name in ("message", "delta"):
            if name in kept:
                kept[name] = self._without_faulty_fields(kept[name])
        return kept

    def _fits(self, name: str, value: Json) -> bool:
        if name not in self._side_fields:
            return True
        try:
            msgspec.convert(value, self._side_fields[name])
        except msgspec.ValidationError:
            return False
        return True


def _decode_loosely(raw: bytes) -> Json:
    text = raw.decode("utf-8-sig", "replace")
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        shown = error_text(raw[:300])[:_MAX_SHOWN]
        raise EngineProtocolError(f"the server's reply is not JSON: {shown!r}") from None
