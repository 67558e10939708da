"""Fields of a client's request (`Prompt.overrides.body`) as fields of llama.cpp's native API."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from nbest.engines.openai.request import own_fields
from nbest.errors import CapabilityError
from nbest.types import Json, Request

log = logging.getLogger("nbest.engines.llamacpp.llamacpp")

_PENALTIES = {
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repetition_penalty": "repeat_penalty",
}
_COMPACT = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}
"""Without these, a small model writes spaces without end."""
_ALL = 2**17
"""Tokens that penalties look back on: all of a context. llama.cpp reserves memory for as many, half a MB a draw."""
_CALLS = ("tools", "functions")


def client_fields(request: Request, samplers: list[str]) -> dict[str, Json]:
    """Fields for the native `/completion`; `samplers` are those in use.

    `response_format`, `logit_bias` (by this model's token ids) and penalties are supported; other fields
    change no text, and are left out. Raises `CapabilityError` for tools, images, and for a
    `response_format` with a prefix.
    """
    own = own_fields(request)
    _check_supported(request, own)
    body: dict[str, Json] = {}
    schema = _schema(own.pop("response_format", None))
    if schema and request.prefix:
        raise CapabilityError("the engine llamacpp cannot continue a prefix under  response_format")
    if schema:
        body["json_schema"] = schema
    bias = own.pop("logit_bias", None)
    if bias:
        body["logit_bias"] = _biases(bias)
    penalties = {native: own.pop(name) for name, native in _PENALTIES.items() if own.get(name) is not None}
    if penalties:
        body |= {**penalties, "samplers": ["penalties", *samplers], "repeat_last_n": _ALL}
    if own:
        log.debug("llamacpp leaves out %s", ", ".join(sorted(own)))
    return body


def _check_supported(request: Request, own: Mapping[str, Json]) -> None:
    messages = request.prompt.messages
    parts = [part for message in messages for part in message.parts]
    asked = [name for name in _CALLS if own.get(name)]
    if any("tool_calls" in message.fields for message in messages):
        asked.append("tool calls in messages")
    asked += sorted({f"parts of type {part.get('type')}" for part in parts if "text" not in part})
    if asked:
        raise CapabilityError(
            f"the engine llamacpp does not support {', '.join(asked)}: use the engine openai with llama.cpp's"
            " own server or vLLM"
        )


def _schema(wanted: Any) -> Json:
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return {"type": "object", **_COMPACT}
        case {"type": "json_schema", "json_schema": {"schema": {**schema}}}:
            return dict[str, Json](schema) | _COMPACT
        case _:
            raise CapabilityError(
                "response_format must be of type text, json_object, or json_schema with a schema in it"
            )


def _biases(bias: Any) -> list[list[float]]:
    try:
        return [[int(token), float(value)] for token, value in bias.items()]
    except (AttributeError, TypeError, ValueError):
        raise CapabilityError("logit_bias must name token ids and numbers") from None
