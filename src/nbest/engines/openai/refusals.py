"""Which fields of a request an error reply objects to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import msgspec

from nbest.engines.openai.reasoning_fields import REASONING_FIELDS
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

_QUOTED = re.compile(r"""(?<!\w)(["'`“‘«])(.{0,200}?)["'`”’»](?!\w)""")
"""What a message quotes: names of fields, and values that a client has sent."""
_NOT_TAKEN = re.compile(
    r"only (?:one|1)\b|must be (?:equal to )?1\b|n\s*=+\s*1\b|not (?:support|permit|allow|recogni[sz]|accept)"
    r"|unsupported|unrecogni[sz]ed|unknown|unexpected|extra (?:inputs|fields)",
    re.IGNORECASE,
)
"""An objection to several draws, whatever their number."""

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


_MAX_VALUES = 200
_MAX_VALUE = 200
"""Characters: messages are shorter."""


class Refusal(NamedTuple):
    """What an error reply objects to."""

    fields: frozenset[str]
    """Of `OPTIONAL`, and of the request; none that the client or the user has set."""
    limit: int | None
    """The largest value that the message names."""
    reasoning: frozenset[str]
    """Of `REASONING_FIELDS`, in earlier turns of the request."""
    still_named: frozenset[str]
    """Of `OPTIONAL`, and in the message, whether or not the request has them."""


def refusal(raw: bytes, body: Mapping[str, Json], *, own: AbstractSet[str] = frozenset()) -> Refusal:
    """What the error reply `raw` to `body` objects to; `own` are fields that the client or the user has set.

    `error.param` and FastAPI's `loc` decide where they are. Else names of fields are looked for in the message,
    without what it quotes of a client's values.
    """
    message = _without_values(error_text(raw), body, own)
    sent = {name for name in OPTIONAL if name in body} - own
    pointed_at = _pointed_at(raw, body)
    fields = pointed_at & sent
    if not pointed_at:
        fields = _named(message, sent)

    wants_other_limit = "max_completion_tokens" in message and "support" in message
    if "max_tokens" in sent and wants_other_limit:
        fields.add("max_tokens")
    else:
        fields.discard("max_tokens")  # a text that is too long is another objection
    for name in ("temperature", "top_p"):
        if name in fields and body[name] != 1 and _OUT_OF_RANGE.search(message):
            fields.discard(name)  # another value would do

    in_turns = {name for turn in body.get("messages", ()) for name in REASONING_FIELDS if name in turn}
    return Refusal(
        fields=frozenset(fields),
        limit=_limit(message, fields),
        reasoning=frozenset(name for name in in_turns if _is_named(name, message)),
        still_named=frozenset(name for name in OPTIONAL if _is_named(name, message)),
    )


def _limit(message: str, fields: AbstractSet[str]) -> int | None:
    found = _AT_MOST.search(message)
    if found is not None:
        return int(found[1])
    if "n" in fields and _NOT_TAKEN.search(message):
        return 1
    return None


def _named(message: str, sent: set[str]) -> set[str]:
    fields = {name for name in sent - _BY_OWN_PATTERN if _is_named(name, message)}
    if "n" in sent and _N_REFUSED.search(message):
        fields.add("n")
    if "stream" in sent and not fields and _STREAM_REFUSED.search(message):
        fields.add("stream")
    return fields


def _is_named(name: str, message: str) -> bool:
    return re.search(rf"\b{name}\b", message) is not None


def _without_values(message: str, body: Mapping[str, Json], own: AbstractSet[str]) -> str:
    """`message` without values of the client's fields, and without what it quotes, but for names of fields."""
    for value in _texts([body[name] for name in own if name in body]):
        message = message.replace(value, "…")
    return _QUOTED.sub(_kept_if_name, message)


def _kept_if_name(quoted: re.Match[str]) -> str:
    if quoted[2].rpartition(".")[2] in {*OPTIONAL, *REASONING_FIELDS, "max_completion_tokens"}:
        return quoted[0]
    return "…"


def _texts(values: Sequence[Json]) -> list[str]:
    """Texts of at least two characters in `values`, keys of objects too, but no names of fields; the longest first."""
    found: set[str] = set()
    waiting: list[Json] = list(values)
    while waiting and len(found) < _MAX_VALUES:
        match waiting.pop():
            case str(text) if len(text) > 1 and text not in OPTIONAL:
                found.add(text[:_MAX_VALUE])
            case {**fields}:
                waiting += [*fields, *fields.values()]
            case [*items]:
                waiting += items
            case _:
                pass
    return sorted(found, key=len, reverse=True)


def _pointed_at(raw: bytes, body: Mapping[str, Json]) -> set[str]:
    """Fields of `body` that the reply names in a field of its own, and names that are no fields of it."""
    try:
        reply: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return set()
    match reply:
        case {"error": {"param": str(name)}} if name:
            return {re.split(r"[.\[]", name, maxsplit=1)[0]}
        case {"detail": [*problems]}:
            return {name for name in (_field_of(problem, body) for problem in problems) if name}
        case _:
            return set()


def _field_of(problem: Any, body: Mapping[str, Json]) -> str | None:
    """The outermost field of the request in a `loc` such as ["body", "seed", "int"]."""
    match problem:
        case {"loc": [*places]}:
            names = [place for place in places if isinstance(place, str)]
            fields = [name for name in names if name in body]
            return next(iter([*fields, *names[-1:]]), None)
        case _:
            return None
