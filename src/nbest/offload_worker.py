"""The process behind `nbest.offload`: calls functions until its input ends.

In: the number of long texts; the pickled call, in which they stand by number; the texts in UTF-8; each a frame.
Out: one pickled frame: whether it returned, its result or what it raised, and whether this process has grown too large.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import Final

from nbest.errors import EngineError
from nbest.offload import LENGTH, read_frame, write_frame

_NICENESS: Final = 5
"""The event loop goes first where there are fewer cores than processes."""
_MAX_RSS_BYTES: Final = 256 << 20
_ORPHAN_GRACE_S: Final = 5.0


def main() -> None:
    """Answers until the input ends."""
    lines = sys.stdin.buffer
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no reply
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICENESS)

    while True:
        try:
            (num_texts,) = LENGTH.unpack(read_frame(lines))
            call = read_frame(lines)
            texts = [read_frame(lines).decode("utf-8", "surrogatepass") for _ in range(num_texts)]
        except EOFError:
            return
        write_frame(out, _reply(call, texts))
        out.flush()


def _reply(call: bytes, texts: list[str]) -> bytes:
    try:
        function, args, (seconds, memory_bytes) = _Unpickler(io.BytesIO(call), texts).load()
        with _limited(seconds, memory_bytes):
            result = function(*args)
        return pickle.dumps((True, result, _has_grown()), protocol=pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps((False, EngineError("the work needs more memory than it is allowed"), True))
    except Exception as e:  # noqa: BLE001 (it is the caller's)
        return _failure(e)


def _failure(error: Exception) -> bytes:
    """With the exception itself, where it can be pickled."""
    try:
        reply = pickle.dumps((False, error, _has_grown()))
        pickle.loads(reply)  # noqa: S301 (written in the line above)
    except Exception:  # noqa: BLE001
        reply = pickle.dumps((False, EngineError(f"{type(error).__name__}: {error}"), _has_grown()))
    return reply


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, texts: list[str]) -> None:
        super().__init__(file)
        self._long_texts: list[str] = texts

    def persistent_load(self, pid: int) -> str:
        return self._long_texts[pid]


@contextlib.contextmanager
def _limited(seconds: float | None, memory_bytes: int | None):  # noqa: ANN202
    """Ends this process some time after `seconds`, should the parent not be there to do it, and bounds its memory."""
    if seconds is not None and hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds + _ORPHAN_GRACE_S)
    if memory_bytes is not None:
        _bound_memory(memory_bytes)
    try:
        yield
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _bound_memory(more_bytes: int) -> None:
    """Allows `more_bytes` beyond today's address space, where the system can say what that is."""
    try:
        import resource  # noqa: PLC0415 (not everywhere)

        num_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = num_pages * resource.getpagesize() + more_bytes
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _has_grown() -> bool:
    """Whether this process has held more memory than one should keep."""
    try:
        import resource  # noqa: PLC0415 (not everywhere)
    except ImportError:
        return False
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > _MAX_RSS_BYTES


if __name__ == "__main__":
    main()
