"""What the gateway's worker processes may take, and how the first of them is made ready."""

from __future__ import annotations

import asyncio
import contextlib
from importlib import import_module
from typing import Final

from nbest.errors import EngineError
from nbest.offload import Limits, offload, set_limits
from nbest.text.answer_classes import prepare
from nbest.text.language import identify

JOB_S: Final = 10.0
"""Of work on one job, such as the matrix of a pool: a client's request is no reason for more."""
JOB_BYTES: Final = 1 << 30
_MODULES: Final = ("jsonschema_rs", "nbest.validators", "nbest.text.answer_classes", "nbest.utilities.edit")


async def warm_up() -> None:
    """Sets the limits, starts a worker, and loads here what the first requests need: they do not wait for it."""
    set_limits(Limits(seconds=JOB_S, memory_bytes=JOB_BYTES))
    with contextlib.suppress(EngineError, OSError):
        await offload(load, _MODULES)
    await prepare({None})
    await asyncio.to_thread(identify, "x", min_words=0)


def load(modules: tuple[str, ...]) -> None:
    """Imports what most jobs need."""
    for name in modules:
        import_module(name)
