"""Reading a request's body: what the three APIs have in common.

A null counts as a key that is not there, and a key that is not known goes to the engine as it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Literal, TypeVar, get_args

import msgspec

from nbest.serve.api.bad_request import from_decoder, invalid
from nbest.serve.api.counted import check_counted
from nbest.serve.api.gateway_request import LIMITS, MAX_N, WITHIN_N, NbestOptions, Progress
from nbest.types import Json, Message, Overrides

T = TypeVar("T")

FormatType = Literal["text", "json_object", "json_schema"]
"""Formats of answers."""

_MAX_LOGPROBS = 1024
_SMALLEST = 5e-324
_LARGEST = 2**31 - 1


class CommonFields(msgspec.Struct, kw_only=True):
    """Keys that mean the same in all three APIs, or in servers that are compatible with them."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    n: int | None = None
    best_of: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    nbest: NbestOptions | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    store: Json = None
    metadata: Json = None


COMMON = frozenset(CommonFields.__struct_fields__)
OWN = COMMON - {"presence_penalty", "frequency_penalty", "logit_bias"}
"""Keys that the gateway acts on or drops; all others go into `Overrides.body`."""

_AT_LEAST_1 = (1, _LARGEST, "must be at least 1 and below 2³¹")
_RANGES: Mapping[str, tuple[float, float, str]] = {
    "temperature": (0, inf, "must not be negative"),
    "top_p": (_SMALLEST, 1, "must be above 0 and at most 1"),
    "top_k": (-1, _LARGEST, "must not be negative, and below 2³¹"),
    "min_p": (0, 1, "must be between 0 and 1"),
    "n": (1, MAX_N, WITHIN_N),
    "seed": (-(2**63), 2**63 - 1, "must fit 64 bits"),
    "max_tokens": _AT_LEAST_1,
    "max_completion_tokens": _AT_LEAST_1,
    "max_output_tokens": _AT_LEAST_1,
    "logprobs": (0, _MAX_LOGPROBS, f"must be from 0 to {_MAX_LOGPROBS}"),
    "top_logprobs": (0, _MAX_LOGPROBS, f"must be from 0 to {_MAX_LOGPROBS}"),
    "presence_penalty": (-2, 2, "must be between -2 and 2"),
    "frequency_penalty": (-2, 2, "must be between -2 and 2"),
}
"""By field, whatever the API: least and largest value, and what a message says of them."""
_CHOICES: Mapping[str, tuple[str, ...]] = {"progress": get_args(Progress), "type": get_args(FormatType)}
"""Values of enumerated fields, by the last name of the field's place."""


def convert(body: Mapping[str, Json], kind: type[T], at: str = "") -> T:
    """`body`, which stands at the place `at`, as a struct. Raises `BadRequestError` for a wrong type or range."""
    try:
        fields = msgspec.convert(body, kind)
    except msgspec.ValidationError as e:
        options = ", ".join(NbestOptions.__struct_fields__)
        raise from_decoder(str(e), at, choices=_CHOICES, options=options) from None

    for name, (least, most, words) in _RANGES.items():
        value = getattr(fields, name, None)
        if value is None or least <= value <= most:
            continue
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        raise invalid(name, f"{words}, got {shown}")
    return fields


def nbest_options(body: Mapping[str, Json], fields: CommonFields) -> NbestOptions:
    """The key `nbest`. Raises `BadRequestError` for a limit of its budget that is not known."""
    options: Mapping[str, Json] = body.get("nbest", {})
    limits: Mapping[str, Json] = options.get("budget") or {}
    unknown = set(limits) - set(LIMITS)
    if unknown:
        known = ", ".join(LIMITS)
        raise invalid(f"nbest.budget.{min(unknown)}", f"is not known: there are {known}")
    return fields.nbest or NbestOptions()


def overrides(
    fields: CommonFields, *, max_tokens: int | None, logprobs: int | None, body: Mapping[str, Json]
) -> Overrides:
    """What the client sets for every draw. vLLM's top_k=-1, all tokens, becomes 0.

    Raises `BadRequestError` for `best_of` and other names of n and `max_tokens` (`check_counted`): a pool of the
    engine's own is neither counted nor limited.
    """
    if fields.best_of is not None and fields.best_of != (fields.n or 1):
        raise invalid("best_of", 'is not supported: say "nbest": {"n": …} to choose from more answers')

    check_counted(body)

    stop = fields.stop or []
    if isinstance(stop, str):
        stop = [stop]
    top_k = fields.top_k
    if top_k is not None:
        top_k = max(0, top_k)

    return Overrides(
        temperature=fields.temperature,
        top_p=fields.top_p,
        top_k=top_k,
        min_p=fields.min_p,
        max_tokens=max_tokens,
        stop=tuple(s for s in stop if s),
        logprobs=logprobs,
        body=body,
    )


def model_name(fields: CommonFields) -> str:
    """The key `model`. Raises `BadRequestError` where it is empty."""
    if not fields.model.strip():
        raise invalid("model", "is empty: GET /v1/models lists the names")
    return fields.model


def message_of_parts(role: str, parts: Sequence[Mapping[str, Json]]) -> Message:
    """A turn of parts in the shape of chat, which go to engines as they came; one text alone is plain content."""
    content = "\n".join(p["text"] for p in parts if p["type"] == "text")
    is_plain = list(parts) in ([], [{"type": "text", "text": content}])
    return Message(role=role, content=content, parts=() if is_plain else tuple(parts))
