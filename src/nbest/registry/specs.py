"""Specs to plug-ins, and back."""

from __future__ import annotations

import dataclasses
import typing
from functools import cache
from typing import Any

from nbest.registry.building import SpecReader
from nbest.registry.plugins import default_of, fields_of, name_of


def parse(kind: str, spec: str, *, is_from_client: bool = False) -> Any:
    """The plug-in that `spec` names: `hedged(n=5)`, `best(oracle)`, `./mine.py:Shortest(limit=3)`, `openai:URL`.

    A positional argument, or what stands behind a colon, fills the first field. A strategy may be named by its search
    or selector (`PART_OF`). With `is_from_client` the spec may name classes that are open to clients only, and set
    no parameter that reaches for something on the server; that is checked before anything is built.

    Raises `SpecError`, with what was asked, what is known and the nearest name.
    """
    return SpecReader(is_from_client=is_from_client).plugin(kind, spec)


def spec_of(plugin: Any) -> str:
    """The spec that makes an equal plug-in; parameters at their defaults are left out."""
    if not dataclasses.is_dataclass(plugin):
        return str(plugin)

    cls: Any = type(plugin)
    shown: list[str] = []
    for parameter, default in _defaults(cls):
        value = getattr(plugin, parameter)
        if value != default:
            shown.append(f"{parameter}={_written(value)}")
    name = _written_name(cls)
    if not shown:
        return name
    return f"{name}({', '.join(shown)})"


@cache
def _defaults(cls: type) -> tuple[tuple[str, Any], ...]:
    """Names and defaults of what a spec can say."""
    return tuple((f.name, default_of(f)) for f in fields_of(cls).values() if f.repr)


def _written_name(cls: type) -> str:
    """The name, in quotes where a spec cannot hold it without."""
    name = name_of(cls)
    is_plain = not set(name) & set(" \t'\"(),=[]{}")
    return name if is_plain else repr(name)


def _written(value: Any) -> str:
    """A value as specs hold it."""
    if dataclasses.is_dataclass(value):
        return spec_of(value)
    if isinstance(value, tuple | list):
        items: list[Any] = list(typing.cast("typing.Any", value))
        return f"[{', '.join(map(_written, items))}]"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return repr(value)
