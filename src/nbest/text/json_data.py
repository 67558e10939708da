"""JSON objects as answers: compared field by field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from nbest.types import Json


def canonical_json(value: Json) -> str:
    """JSON with keys sorted and numbers as JSON means them: 1.0 is 1."""
    return msgspec.json.encode(_plain(value), order="sorted").decode()


def data_keys(texts: Sequence[str | None]) -> list[str | None]:
    """What names the class of each text that is a JSON object; None for the others.

    Two are equivalent where their fields are, keys in any order. A field that every object words in its own
    way, as they do their reasoning, tells none apart; all are None where that is so of every field.
    """
    objects = [_object(t) for t in texts]
    if not any(objects):
        return [None] * len(texts)
    told = Counter(field for o in objects if o for field in o.items())
    shared = {name for (name, _), num in told.items() if num > 1}
    return [
        _named(o, sorted(shared & o.keys()) or sorted(o)) if o is not None and shared else None
        for o in objects
    ]


def _named(fields: Mapping[str, str], names: Sequence[str]) -> str:
    return "{" + ",".join(f"{canonical_json(name)}:{fields[name]}" for name in names) + "}"


def _object(text: str | None) -> Mapping[str, str] | None:
    """Its fields, each in canonical JSON."""
    if text is None or not text.lstrip().startswith("{"):
        return None
    try:
        found = msgspec.json.decode(text, type=dict[str, Json])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return {k: canonical_json(v) for k, v in found.items()}


def _plain(value: Json) -> Json:
    match value:
        case {**fields}:
            return {k: _plain(v) for k, v in fields.items()}
        case [*items]:
            return [_plain(v) for v in items]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
