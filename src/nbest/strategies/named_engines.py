"""Which engines a strategy asks by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, cast

from nbest.errors import MissingEngineError
from nbest.protocols import Strategy

_FIELDS = frozenset({"engine", "engines", "judge", "fusor", "critic", "translator"})
"""Parameters of plug-ins that are names of engines."""


def check_engines(strategy: Strategy, engines: Mapping[str, object]) -> None:
    """Raises `MissingEngineError` where `strategy`, or a plug-in in it, names an engine that is not in `engines`."""
    for name in _named(strategy):
        if name not in engines:
            known = ", ".join(sorted(engines))
            raise MissingEngineError(f"no engine is called {name!r}; engines: {known}", name=name)


def _named(plugin: Any) -> Iterator[str]:
    for field in dataclasses.fields(plugin):
        value = getattr(plugin, field.name)
        parts = cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)
        for part in parts:
            if dataclasses.is_dataclass(part):
                yield from _named(part)
            elif field.name in _FIELDS and isinstance(part, str):
                yield part
