"""What a client of a gateway says (`Prompt.overrides.body`), in llama.cpp's words."""

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
"""Without, a small model writes spaces without an end."""
_ALL = 2**17
"""Tokens of a context of today. llama.cpp sets memory aside for as many: half a megabyte a draw."""
_CALLS = ("tools", "functions")


def client_fields(request: Request, samplers: list[str]) -> dict[str, Json]:
    """Fields for the native `/completion`; `samplers` are those in use.

    `response_format`, `logit_bias` (by this model's token ids) and penalties are honoured; what is left
    changes no text, and is left out. Raises `CapabilityError` for tools, images, and for a format of a
    text that has begun already.
    """
    own = own_fields(request)
    _refuse_what_it_cannot(request, own)
    body: dict[str, Json] = {}
    if schema := _schema(own.pop("response_format", None)):
        if request.prefix:
            raise CapabilityError("the engine llamacpp cannot continue a text under  response_format")
        body["json_schema"] = schema
    if bias := own.pop("logit_bias", None):
        body["logit_bias"] = _biases(bias)
    if penalties := {_PENALTIES[k]: own.pop(k) for k in _PENALTIES if own.get(k) is not None}:
        body |= {**penalties, "samplers": ["penalties", *samplers], "repeat_last_n": _ALL}
    if own:
        log.debug("llamacpp leaves out %s", ", ".join(sorted(own)))
    return body


def _refuse_what_it_cannot(request: Request, own: Mapping[str, Json]) -> None:
    turns = request.prompt.messages
    asked = [k for k in _CALLS if own.get(k)]
    asked += ["calls of tools"] if any("tool_calls" in m.fields for m in turns) else []
    asked += sorted({str(p.get("type")) for m in turns for p in m.parts if "text" not in p})
    if asked:
        raise CapabilityError(
            f"the engine llamacpp does not take {', '.join(asked)}: use llama.cpp's own server, or vLLM,"
            " with  --engine openai:http://…"
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
