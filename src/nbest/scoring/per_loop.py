"""What scorers and utilities keep open between calls (connections, worker processes), one per event loop.

A plug-in is a frozen value that nobody closes. So what it opens is closed when its loop ends:
`asyncio.run` and all that is made like it close the loop's asynchronous generators first, and one such
generator per loop holds everything that was opened there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary


class Closable(Protocol):
    async def aclose(self) -> None: ...


T = TypeVar("T", bound=Closable)

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, dict[Hashable, Any]]] = WeakKeyDictionary()


async def per_loop(key: Hashable, make: Callable[[], T]) -> T:
    """What `make` made for `key` in this event loop, made now if it is the first time."""
    loop = asyncio.get_running_loop()
    if loop not in _by_loop:
        life = _until_the_loop_ends(loop)
        _by_loop[loop] = life, await anext(life)
    _, things = _by_loop[loop]
    if key not in things:
        things[key] = make()
    return things[key]


async def _until_the_loop_ends(loop: asyncio.AbstractEventLoop) -> AsyncGenerator[dict[Hashable, Any], None]:
    things: dict[Hashable, Any] = {}
    try:
        yield things
    finally:
        _by_loop.pop(loop, None)
        await asyncio.gather(*(thing.aclose() for thing in things.values()), return_exceptions=True)
