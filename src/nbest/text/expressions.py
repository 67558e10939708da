"""Mathematics that is spelled in two ways: compared by `math-verify` (extra `math`), which may not hang us.

`math-verify` parses with sympy, whose time has no bound, and guards itself with `signal.alarm`, which
works in the main thread alone. So it runs in a process of its own, which is ended when it takes too long.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache, lru_cache
from typing import Final

from nbest.errors import EngineError
from nbest.worker_process import WorkerProcess

TIMEOUT_S: Final = 5.0
"""For one comparison."""
_START_TIMEOUT_S: Final = 60.0
_MAX_CHARS: Final = 300
_COMMAND: Final = (sys.executable, "-m", "nbest.text.math_worker")


def are_equal(a: str, b: str) -> bool:
    """Whether two expressions are equal mathematics; False where `math-verify` is missing or too slow."""
    if not is_installed() or max(len(a), len(b)) > _MAX_CHARS:
        return False
    return _are_equal(*sorted((a, b)))


@cache
def is_installed() -> bool:
    """Whether the extra `math` is there."""
    return importlib.util.find_spec("math_verify") is not None


@lru_cache(maxsize=4096)
def _are_equal(a: str, b: str) -> bool:
    try:
        reply = _worker().call({"pair": [a, b]}, timeout_s=TIMEOUT_S)
    except EngineError:
        return False
    return reply.get("equal") is True


@cache
def _worker() -> WorkerProcess:
    return WorkerProcess(_COMMAND, start_timeout_s=_START_TIMEOUT_S)
