"""Which strategy answers a request: the server's, a preset, or one that the client wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeGuard, cast, get_type_hints

from nbest import registry
from nbest.errors import InputError, SpecError
from nbest.protocols import Strategy, is_open_to_clients, on_server

_MAX_SPEC = 1000


def open_strategy(spec: str, *, max_n: int) -> Strategy:
    """A client's spec. Raises `InputError` for one that reaches further, or costs more, than clients may."""
    if len(spec) > _MAX_SPEC:
        raise InputError(f"the strategy is longer than {_MAX_SPEC} characters")
    try:
        strategy: Strategy = registry.parse("strategies", spec)
    except (SpecError, RecursionError, MemoryError) as e:
        raise InputError(f"strategy: {e}") from None
    for plugin in _plugins(strategy):
        cls = cast("type[Any]", type(plugin))
        name = registry.name_of(cls)
        if not is_open_to_clients(cls):
            raise InputError(f"strategy: {name} is for presets only, which the server's configuration names")
        hints = get_type_hints(cls, include_extras=True)
        for f in dataclasses.fields(plugin):
            value = getattr(plugin, f.name)
            if value is not None and on_server(hints[f.name]):
                raise InputError(f"strategy: {name}({f.name}=…) is for presets only")
            if _is_count(value, f.name) and value > max_n and value != f.default:
                raise InputError(
                    f"strategy: {name}({f.name}={value}) is above this server's limit of {max_n}"
                )
    return strategy


def _is_count(value: Any, field: str) -> TypeGuard[int]:
    """Whether a parameter multiplies work that no budget sees: tokens are counted as they are drawn."""
    return isinstance(value, int) and "token" not in field and field not in {"top_k", "seed"}


def _plugins(plugin: Any) -> Iterator[Any]:
    """A plug-in and those within it."""
    yield plugin
    for f in dataclasses.fields(plugin):
        value = getattr(plugin, f.name)
        several = cast("tuple[Any, ...]", value if isinstance(value, tuple) else (value,))
        for inner in several:
            if dataclasses.is_dataclass(inner):
                yield from _plugins(inner)
