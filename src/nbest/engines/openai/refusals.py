"""Which fields of a request an error reply objects to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from nbest.engines.openai.reasoning import REASONING_FIELDS
from nbest.http_errors import error_text
from nbest.types import Json

OPTIONAL = {
    "n": "draws are requested one by one",
    "min_p": "texts are drawn without min_p",
    "top_k": "texts are drawn without top_k",
    "repetition_penalty": "the model's own repetition penalty holds",
    "seed": "draws cannot be repeated",
    "logprobs": "there are no log-probabilities",
    "top_logprobs": "alternatives of tokens are missing",
    "continue_final_message": "a prefix is sent as a trailing assistant message",
    "add_generation_prompt": "a prefix is sent as a trailing assistant message",
    "temperature": "texts are drawn at the model's own temperature",
    "top_p": "texts are drawn with the model's own top_p",
    "max_tokens": "max_completion_tokens is sent instead",
    "stream": "texts come in one piece",
    "stream_options": "a stream does not say what it cost",
}
"""Fields that can be left out, and what that means."""

_BY_OWN_PATTERN = frozenset({"n", "max_tokens", "stream"})
"""Their names stand in messages about other things."""
_N_REFUSED = re.compile(
    r"['\"`]n['\"`]|\bn\s*(?:[><=≤≥]|must|should|cannot|is\b|greater|larger|parameter)|n_cmpl|n_parallel"
    r"|only one (?:completion )?choice|parameter:? n\b",
    re.IGNORECASE,
)
_STREAM_REFUSED = re.compile(r"['\"`]stream['\"`]|\bstream(?:ing)?\W+(?:\w+\W+)?not\b", re.IGNORECASE)
_OUT_OF_RANGE = re.compile(
    r"[<>≤≥]|[\[(]\s*[\d.]+\s*,|\b(?:between|less|greater|at (?:most|least)|range|maximum|minimum|exceeds?"
    r"|negative|positive)\b",
    re.IGNORECASE,
)
"""An objection to a value, where another value than 1 would do."""
_AT_MOST = re.compile(
    r"(?:<=|≤|at most|less than or equal to|between 1 and|maximum(?: of| is|:)?|max allowed:?|up to"
    r"|n_parallel \(|slots \()\s*(\d+)",
    re.IGNORECASE,
)


class Refusal(NamedTuple):
    """What an error reply objects to."""

    fields: frozenset[str]
    """Of `OPTIONAL`, and of the request."""
    limit: int | None
    """The largest value that the message names."""
    reasoning: frozenset[str]
    """Of `REASONING_FIELDS`, in earlier turns of the request."""


def refusal(raw: bytes, body: Mapping[str, Json]) -> Refusal:
    """What the error reply `raw` to `body` objects to.

    `error.param` and FastAPI's `loc` count first; else the names are looked for in the message.
    """
    message = error_text(raw)
    sent = {name for name in OPTIONAL if name in body}
    fields = _pointed_at(raw) & sent or _named(message, sent)
    wants_other_limit = "max_completion_tokens" in message and "support" in message
    if "max_tokens" in sent and wants_other_limit:
        fields.add("max_tokens")
    else:
        fields.discard("max_tokens")  # a text that is too long is another objection
    for name in ("temperature", "top_p"):
        if name in fields and body[name] != 1 and _OUT_OF_RANGE.search(message):
            fields.discard(name)  # another value would do

    limit = _AT_MOST.search(message)
    in_turns = {name for turn in body.get("messages", ()) for name in REASONING_FIELDS if name in turn}
    return Refusal(
        fields=frozenset(fields),
        limit=int(limit[1]) if limit else None,
        reasoning=frozenset(name for name in in_turns if _is_named(name, message)),
    )


def _named(message: str, sent: set[str]) -> set[str]:
    fields = {name for name in sent - _BY_OWN_PATTERN if _is_named(name, message)}
    if "n" in sent and _N_REFUSED.search(message):
        fields.add("n")
    if "stream" in sent and not fields and _STREAM_REFUSED.search(message):
        fields.add("stream")
    return fields


def _is_named(name: str, message: str) -> bool:
    return re.search(rf"\b{name}\b", message) is not None


def _pointed_at(raw: bytes) -> set[str]:
    """Fields that the reply names in a field of its own."""
    try:
        reply: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return set()
    match reply:
        case {"error": {"param": str(name)}}:
            return {name}
        case {"detail": [*problems]}:
            return {problem["loc"][-1] for problem in problems if _has_field(problem)}
        case _:
            return set()


def _has_field(problem: Any) -> bool:
    match problem:
        case {"loc": [*_, str()]}:
            return True
        case _:
            return False
