"""Mathematics that is spelled in two ways: compared by `math-verify` (extra `math`), which may not hang us.

`math-verify` parses with sympy, whose time has no bound, and guards itself with `signal.alarm`, which
works in the main thread alone. So it runs in a process of its own, which is ended when it takes too long.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache, lru_cache
from typing import Final

TIMEOUT_S: Final = 5.0
_STARTING_TIMEOUT_S: Final = 60.0
_MAX_CHARS: Final = 300


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
    return _verifier().ask(a, b)


@cache
def _verifier() -> _Verifier:
    return _Verifier()


class _Verifier:
    """One process that answers line by line; started when first asked, and again after it was ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        atexit.register(self._end)

    def ask(self, a: str, b: str) -> bool:
        with self._lock:
            if self._process is None and self._start() is None:
                return False
            return self._exchange([a, b], TIMEOUT_S) == "true"

    def _start(self) -> str | None:
        """Whatever the process says first, or None where it does not come up."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nbest.text.math_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="ascii",
        )
        return self._exchange(["0", "0"], _STARTING_TIMEOUT_S)

    def _exchange(self, pair: list[str], timeout_s: float) -> str | None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        try:
            process.stdin.write(json.dumps(pair) + "\n")
            process.stdin.flush()
        except OSError:
            self._end()
            return None
        reply: list[str] = []
        stdout = process.stdout
        reader = threading.Thread(target=lambda: reply.append(stdout.readline()), daemon=True)
        reader.start()
        reader.join(timeout_s)
        if reader.is_alive() or not reply[0]:
            self._end()
            reader.join()
            return None
        return reply[0].strip()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
