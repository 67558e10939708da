"""The JSON of a request's body: read within bounds of depth and of the number of values.

A null counts as a key that is not there.
"""

from __future__ import annotations

import re

import msgspec

from nbest.serve.api.bad_request import BadRequestError
from nbest.types import Json

_HALF_PAIR = re.compile(rb"\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]", re.IGNORECASE)
"""In JSON: one of a pair of surrogates, as JavaScript writes a text that was cut inside a character."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""Matches wherever a quotation mark is, closed or not, so that a body is passed once."""
_PLACE = re.compile(r"\(byte (\d+)\)")
_NEAR = 24
_MAX_DEPTH = 64
_MAX_VALUES = 200_000
"""A megabyte of `[[],[],…]` is 25 MB of objects, and a second of work."""


def decode(raw: bytes) -> dict[str, Json]:
    """A JSON object, without its nulls.

    Raises `BadRequestError` for anything else, for deep nesting, and for more values than a request needs.
    """
    _check_number_of_values(raw)
    try:
        body = msgspec.json.decode(raw)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeError, ValueError) as e:
        problem = str(e).partition(" - at ")[0]
        if _has_half_pair_near(raw, str(e)):
            problem = "it holds half a character, such as \\ud83d: cut texts between characters"
        raise BadRequestError(f"the request is not JSON: {problem}") from None

    if not isinstance(body, dict):
        raise BadRequestError("the request must be a JSON object")
    _check_depth(body)
    return {k: v for k, v in body.items() if v is not None}  # pyright: ignore[reportUnknownVariableType]


def _has_half_pair_near(raw: bytes, problem: str) -> bool:
    """Whether half a character stands where the decoder stopped: at the byte that it names, or at the end."""
    place = _PLACE.search(problem)
    at = int(place[1]) if place else len(raw)
    return _HALF_PAIR.search(raw, max(0, at - _NEAR), at + _NEAR) is not None


def _check_number_of_values(raw: bytes) -> None:
    """Raises `BadRequestError` before anything is decoded; texts may be of any length, and hold what they like."""
    if _num_marks(raw) <= _MAX_VALUES:
        return
    num_quotes = raw.count(b'"') - raw.count(b'\\"')
    has_too_many_strings = num_quotes > 4 * _MAX_VALUES  # two for each key, and for each text
    if has_too_many_strings or _num_marks(_STRING.sub(b"", raw)) > _MAX_VALUES:
        raise BadRequestError(f"the request holds more than {_MAX_VALUES} values")


def _num_marks(raw: bytes) -> int:
    """One for each item of a list or object but the first, and one for each list and object."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _check_depth(body: Json) -> None:
    level: list[Json] = [body]
    for _ in range(_MAX_DEPTH):
        level = [inner for value in level for inner in _containers_in(value)]
        if not level:
            return
    raise _too_deep()


def _containers_in(value: Json) -> list[Json]:
    inner = value.values() if isinstance(value, dict) else value  # pyright: ignore[reportUnknownVariableType]
    return [v for v in inner if isinstance(v, (dict, list))]  # pyright: ignore[reportUnknownVariableType]


def _too_deep() -> BadRequestError:
    return BadRequestError(f"the request is nested deeper than {_MAX_DEPTH} levels")
