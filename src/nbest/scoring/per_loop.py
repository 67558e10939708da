"""Per-loop resources: connections and worker processes that scorers and utilities keep open between calls.

A plug-in is a frozen value without a `close`. So its resources are closed when their event loop ends:
`asyncio.run`, and every runner like it, closes the loop's asynchronous generators first, and one such
generator per loop holds all resources of that loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary


class Closable(Protocol):
    """A resource that is closed from its event loop."""

    async def aclose(self) -> None: ...


T = TypeVar("T", bound=Closable)

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, dict[Hashable, Any]]] = WeakKeyDictionary()


async def per_loop(key: Hashable, make: Callable[[], T]) -> T:
    """The resource called `key` of the running event loop; `make` opens it at the first call.

    It is closed with `aclose` when the loop ends.
    """
    loop = asyncio.get_running_loop()
    if loop not in _by_loop:
        life = _until_the_loop_ends(loop)
        _by_loop[loop] = life, await anext(life)
    _, resources = _by_loop[loop]
    if key not in resources:
        resources[key] = make()
    return resources[key]


async def _until_the_loop_ends(loop: asyncio.AbstractEventLoop) -> AsyncGenerator[dict[Hashable, Any], None]:
    resources: dict[Hashable, Any] = {}
    try:
        yield resources
    finally:
        _by_loop.pop(loop, None)
        await asyncio.gather(*(resource.aclose() for resource in resources.values()), return_exceptions=True)
