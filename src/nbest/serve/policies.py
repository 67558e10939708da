"""Which strategy answers a request: the server's, a preset, or one that the client wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeGuard, cast

from nbest import registry
from nbest.errors import InputError, SpecError
from nbest.protocols import Strategy

_MAX_SPEC = 1000


def open_strategy(spec: str, *, max_n: int) -> Strategy:
    """A client's spec. Raises `InputError` for one that reaches further, or costs more, than clients may."""
    if len(spec) > _MAX_SPEC:
        raise InputError(f"the strategy is longer than {_MAX_SPEC} characters")
    return _parsed(spec, max_n)


@lru_cache(maxsize=256)
def _parsed(spec: str, max_n: int) -> Strategy:
    try:
        strategy: Strategy = registry.parse("strategies", spec, is_from_client=True)
    except (SpecError, RecursionError, MemoryError) as e:
        raise InputError(f"strategy: {e}") from None
    for plugin in _plugins(strategy):
        _check_counts(plugin, max_n)
    return strategy


def _check_counts(plugin: Any, max_n: int) -> None:
    """Raises `InputError` for a parameter that multiplies work beyond the server's limit."""
    for f in dataclasses.fields(plugin):
        value = getattr(plugin, f.name)
        if _is_count(value, f.name) and value > max_n and value != f.default:
            name = registry.name_of(cast("type[Any]", type(plugin)))
            raise InputError(f"strategy: {name}({f.name}={value}) is above this server's limit of {max_n}")


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
