"""Requests that cannot be read, and the words in which the client gets to know it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nbest.errors import InputError

_MAX_MESSAGE = 300
_TYPE_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
"""msgspec's names of types, in JSON's words."""
_WRONG_TYPE = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_NO_CHOICE = re.compile(r"Invalid enum value (.*)", re.DOTALL)


class BadRequestError(InputError):
    """What a client sent cannot be read; `param` is the place, as in OpenAI's errors."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(shortened(message))
        self.param = param and shortened(param)


def invalid(param: str, problem: str) -> BadRequestError:
    """The error of one field: its message is the field's place, then the problem."""
    return BadRequestError(f"{param} {problem}", param=param)


def from_decoder(
    message: str, outer: str, *, choices: Mapping[str, tuple[str, ...]], options: str
) -> BadRequestError:
    """Msgspec's message in plain words: "messages[0].role must be a string, not an integer".

    `outer` is the place of what was decoded, empty for the whole request. `choices` are the values of
    enumerated fields by the field's name; `options`, the names of the fields that `nbest` has.
    """
    problem, _, place = message.partition(" - at `$")
    at = (outer + place.rstrip("`")).lstrip(".")

    if types := _WRONG_TYPE.fullmatch(problem):
        wanted = [_TYPE_NAMES.get(t, t) for t in types[1].split(" | ") if t != "null"]
        got = _TYPE_NAMES.get(types[2], types[2])
        return invalid(at or "the request", f"must be {' or '.join(wanted)}, not {got}")

    if missing := _MISSING.fullmatch(problem):
        return invalid(f"{at}.{missing[1]}".lstrip("."), "is missing")

    if unknown := _UNKNOWN.fullmatch(problem):
        return invalid(f"{at}.{unknown[1]}", f"is not known: there are {options}")

    if wrong := _NO_CHOICE.fullmatch(problem):
        known = ", ".join(choices[at.rpartition(".")[2]])
        return invalid(at, f"has no choice {wrong[1]}: there are {known}")

    if at == "nbest":  # the words of `NbestOptions` itself, which begin with its field
        field, _, rest = problem.partition(" ")
        return invalid(f"nbest.{field}", rest)

    return BadRequestError(f"{at}: {problem}".removeprefix(": "), param=at or None)


def shortened(text: str, most: int = _MAX_MESSAGE) -> str:
    """`text` on one line of at most `most` characters: what a client sent may be of any length."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
