"""What a strategy needs where it runs: engines by name, files, environment variables with keys."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from nbest.errors import InputError, MissingEngineError
from nbest.protocols import EngineName, OnServer, ServerEnv, Strategy, on_server
from nbest.registry.plugins import types_of

_ENGINE, _VARIABLE = on_server(EngineName), on_server(ServerEnv)
_FILE_FIELDS = frozenset({"templates", "table", "file"})
"""Parameters that are files or directories which must be there; a `model` may be a name on a hub."""


def check_requirements(strategy: Strategy, engines: Mapping[str, object]) -> None:
    """Raises `MissingEngineError` or `InputError` for the first thing that `strategy`, or a plug-in in it, lacks."""
    for field, mark, value in _texts(strategy):
        if mark == _ENGINE and value not in engines:
            known = ", ".join(sorted(engines))
            raise MissingEngineError(f"no engine is called {value!r}; engines: {known}", name=value)
        if field in _FILE_FIELDS and not Path(value).exists():
            raise InputError(f"{field}: {value}: no such file")
        if mark == _VARIABLE and not os.environ.get(value, "").strip():
            raise InputError(f"the environment variable {value} ({field}) holds no key")


def _texts(plugin: Any) -> Iterator[tuple[str, OnServer | None, str]]:
    """Names, marks and values of all parameters that are texts, of a plug-in and those within it."""
    hints = types_of(cast("type[Any]", type(plugin)))
    for field in dataclasses.fields(plugin):
        if not field.init:
            continue
        mark = on_server(hints[field.name])
        value = getattr(plugin, field.name)
        parts: Sequence[Any] = [value]
        if isinstance(value, tuple):
            parts = cast("Sequence[Any]", value)
        for part in parts:
            if dataclasses.is_dataclass(part):
                yield from _texts(part)
            elif isinstance(part, str):
                yield field.name, mark, part
