"""What a client of the gateway asks, whichever of OpenAI's three APIs it speaks.

`read_chat`, `read_responses` and `read_completion` live beside; here is what they share. A null is "not said",
and a key that is not known goes to the engine as it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import inf
from typing import Literal, TypeVar, get_args

import msgspec

from nbest.errors import InputError
from nbest.text.language import check_language
from nbest.types import Budget, Json, Message, Overrides, Value

Progress = Literal["comments", "events", "reasoning", "none"]
"""What a stream says while candidates arrive."""
FormatType = Literal["text", "json_object", "json_schema"]
"""Of answers."""

MAX_N = 1024
_WITHIN_N = f"must be at least 1, and at most what the server allows (never above {MAX_N})"
_LONE_SURROGATE = re.compile(rb"\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]", re.IGNORECASE)
"""In JSON: half of a pair of escapes, as JavaScript writes a text that was cut inside a character."""
_MAX_LOGPROBS = 1024
_MAX_DEPTH = 64
_MAX_MESSAGE = 300
_SMALLEST = 5e-324
_LARGEST = 2**31 - 1
_T = TypeVar("_T")


class BadRequestError(InputError):
    """What a client sent cannot be read; `param` is the place, as in OpenAI's errors."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(short(message))
        self.param = param and short(param)


class NbestOptions(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key `nbest` of a request; OpenAI's clients send it as `extra_body={"nbest": {…}}`."""

    strategy: str | None = None
    """A spec, or the name of a preset."""
    n: int | None = None
    """Size of the pool."""
    deadline: float | None = None
    """Seconds."""
    budget: Budget | None = None
    language: str | None = None
    task: str | None = None
    candidates: bool = False
    """Give the pool back."""
    progress: Progress = "comments"

    @property
    def has_deadline(self) -> bool:
        """Whether the client itself says until when."""
        return self.deadline is not None or (self.budget is not None and self.budget.seconds is not None)

    def __post_init__(self) -> None:
        """Raises `ValueError`, whose first word is the field, for what no request can mean."""
        if self.strategy == "":
            raise ValueError("strategy is empty: name one, or leave it out")
        if self.n is not None and not 1 <= self.n <= MAX_N:
            raise ValueError(f"n {_WITHIN_N}, got {self.n}")
        if self.deadline is not None and not 0 < self.deadline < inf:
            raise ValueError(f"deadline must be above 0 seconds, got {self.deadline:g}")
        if self.language is not None:
            try:
                check_language(self.language)
            except ValueError as e:
                raise ValueError(f"language {e}") from None
        for name in Budget.__struct_fields__:
            limit = getattr(self.budget, name, None)
            if limit is not None and not 0 <= limit < inf:
                raise ValueError(f"budget.{name} must not be negative, got {limit}")


class GatewayRequest(Value, frozen=True, kw_only=True):
    """A request of any of the APIs."""

    model: str
    messages: tuple[Message, ...]
    overrides: Overrides = Overrides()
    n: int = 1
    seed: int | None = None
    stream: bool = False
    include_usage: bool = False
    nbest: NbestOptions = NbestOptions()
    echo: Mapping[str, Json] = {}
    """What the reply repeats: the Responses API gives the client its settings back."""


class CommonFields(msgspec.Struct, kw_only=True):
    """The keys that all three APIs, or servers that speak them, understand alike."""

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


OWN = frozenset(CommonFields.__struct_fields__) - {"presence_penalty", "frequency_penalty", "logit_bias"}
"""Keys that the gateway acts on or drops; the rest goes into `Overrides.body`."""

_RANGES: Mapping[str, tuple[float, float, str]] = {
    "temperature": (0, inf, "must not be negative"),
    "top_p": (_SMALLEST, 1, "must be above 0 and at most 1"),
    "top_k": (-1, _LARGEST, "must not be negative, and below 2³¹"),
    "min_p": (0, 1, "must be between 0 and 1"),
    "n": (1, MAX_N, _WITHIN_N),
    "seed": (-(2**63), 2**63 - 1, "must fit 64 bits"),
    "max_tokens": (1, _LARGEST, "must be at least 1 and below 2³¹"),
    "max_completion_tokens": (1, _LARGEST, "must be at least 1 and below 2³¹"),
    "max_output_tokens": (1, _LARGEST, "must be at least 1 and below 2³¹"),
    "logprobs": (0, _MAX_LOGPROBS, f"must be from 0 to {_MAX_LOGPROBS}"),
    "top_logprobs": (0, _MAX_LOGPROBS, f"must be from 0 to {_MAX_LOGPROBS}"),
    "presence_penalty": (-2, 2, "must be between -2 and 2"),
    "frequency_penalty": (-2, 2, "must be between -2 and 2"),
}


def decode(raw: bytes) -> dict[str, Json]:
    """A JSON object that an engine can be sent. Raises `BadRequestError` for anything else, however odd."""
    try:
        said = msgspec.json.decode(raw)
    except RecursionError:
        raise BadRequestError(f"the request is nested deeper than {_MAX_DEPTH} levels") from None
    except (msgspec.DecodeError, UnicodeError, ValueError) as e:
        half = "it holds half a character, such as \\ud83d: cut texts between characters"
        why = half if _LONE_SURROGATE.search(raw) else str(e).partition(" - at ")[0]
        raise BadRequestError(f"the request is not JSON: {why}") from None
    if not isinstance(said, dict):
        raise BadRequestError("the request must be a JSON object")
    level: list[Json] = [said]
    depth = 0
    while level := [inner for value in level for inner in _inner(value)]:
        if (depth := depth + 1) >= _MAX_DEPTH:
            raise BadRequestError(f"the request is nested deeper than {_MAX_DEPTH} levels")
    return {k: v for k, v in said.items() if v is not None}  # pyright: ignore[reportUnknownVariableType]


def fit(said: Mapping[str, Json], kind: type[_T], at: str = "") -> _T:
    """What is said (at a place) as a struct, its numbers in range. Raises `BadRequestError`: where it does not fit."""
    try:
        found = msgspec.convert(said, kind)
    except msgspec.ValidationError as e:
        raise _explained(str(e), at) from None
    for name, (least, most, words) in _RANGES.items():
        value = getattr(found, name, None)
        if value is not None and not least <= value <= most:
            raise refused(
                name, f"{words}, got {value:g}" if isinstance(value, float) else f"{words}, got {value}"
            )
    return found


def refused(param: str, why: str) -> BadRequestError:
    """An error that begins with the place it is at."""
    return BadRequestError(f"{param} {why}", param=param)


def nbest(said: Mapping[str, Json], read: CommonFields) -> NbestOptions:
    """The key `nbest`, whose budget may have no unknown limit either."""
    found: Mapping[str, Json] = said.get("nbest", {})
    limits: Mapping[str, Json] | None = found.get("budget")
    if unknown := set(limits or ()) - set(Budget.__struct_fields__):
        raise refused(f"nbest.budget.{min(unknown)}", f"is not known: there are {_names(Budget)}")
    return read.nbest or NbestOptions()


def overrides(
    read: CommonFields, *, max_tokens: int | None, logprobs: int | None, body: Mapping[str, Json]
) -> Overrides:
    """What the client says about every draw; top_k=-1 is vLLM's word for all tokens.

    Raises `BadRequestError` for a pool of the engine's own making, which would be neither counted nor limited.
    """
    if read.best_of is not None and read.best_of != (read.n or 1):
        raise refused("best_of", 'is not supported: say "nbest": {"n": …} to choose from more answers')
    stop = [read.stop] if isinstance(read.stop, str) else read.stop or []
    return Overrides(
        temperature=read.temperature,
        top_p=read.top_p,
        top_k=None if read.top_k is None else max(0, read.top_k),
        min_p=read.min_p,
        max_tokens=max_tokens,
        stop=tuple(s for s in stop if s),
        logprobs=logprobs,
        body=body,
    )


def of_parts(role: str, parts: Sequence[Mapping[str, Json]]) -> Message:
    """A turn of parts in the shape of chat, which engines are sent as they are; one plain text is no part."""
    content = "\n".join(p["text"] for p in parts if p["type"] == "text")
    is_plain = list(parts) in ([], [{"type": "text", "text": content}])
    return Message(role=role, content=content, parts=() if is_plain else tuple(parts))


def model(read: CommonFields) -> str:
    """The model's name, which is not empty."""
    if not read.model.strip():
        raise refused("model", "is empty: GET /v1/models lists the names")
    return read.model


def _inner(value: Json) -> list[Json]:
    """The containers in a container."""
    within = value.values() if isinstance(value, dict) else value  # pyright: ignore[reportUnknownVariableType]
    return [v for v in within if isinstance(v, (dict, list))]  # pyright: ignore[reportUnknownVariableType]


def _names(kind: type[msgspec.Struct]) -> str:
    return ", ".join(kind.__struct_fields__)


_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_CHOICES: Mapping[str, tuple[str, ...]] = {"progress": get_args(Progress), "type": get_args(FormatType)}
"""By the last name of a place."""


def _explained(found: str, outer: str) -> BadRequestError:
    """The decoder's words in plain ones: "messages[0].role must be a string, not an integer"."""
    why, _, place = found.partition(" - at `$")
    at = (outer + place.rstrip("`")).lstrip(".")
    if types := re.fullmatch(r"Expected `([^`]*)`, got `([^`]*)`", why):
        wanted = [_WORDS.get(t, t) for t in types[1].split(" | ") if t != "null"]
        return refused(
            at or "the request", f"must be {' or '.join(wanted)}, not {_WORDS.get(types[2], types[2])}"
        )
    if missing := re.fullmatch(r"Object missing required field `([^`]*)`", why):
        return refused(f"{at}.{missing[1]}" if at else missing[1], "is missing")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", why, re.DOTALL):
        return refused(f"{at}.{unknown[1]}", f"is not known: there are {_names(NbestOptions)}")
    if wrong := re.fullmatch(r"Invalid enum value (.*)", why, re.DOTALL):
        known = ", ".join(_CHOICES[at.rpartition(".")[2]])
        return refused(at, f"has no choice {wrong[1]}: there are {known}")
    if at == "nbest":
        field, _, problem = why.partition(" ")
        return refused(f"nbest.{field}", problem)
    return BadRequestError(f"{at}: {why}" if at else why, param=at or None)


def short(text: str, most: int = _MAX_MESSAGE) -> str:
    """One line of at most so many characters: what a client sent may be of any length."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
