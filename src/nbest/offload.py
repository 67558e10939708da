"""Work that takes the processor for long, in processes that can be killed: the event loop stays free.

Threads would not do: pure Python holds the interpreter's lock, and no thread can be ended. A job that is cancelled,
late for its deadline or above the limits takes its process with it; the next job starts another one.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import io
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, Final, NamedTuple, TypeVar, cast

from nbest.errors import EngineError, EngineTimeoutError

T = TypeVar("T")

LONG_TEXT: Final = 1 << 14
"""Characters from which a text is sent apart: encoding many of them at once would hold the interpreter's lock."""
LENGTH: Final = struct.Struct("<Q")
_SLICE_S: Final = 0.002
_NUM_WORKERS: Final = max(2, min(4, os.cpu_count() or 1))
"""At least two, so that one long job does not delay all others."""
_COMMAND: Final = (sys.executable, "-P", "-m", "nbest.offload_worker")
_ENVIRONMENT: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "SYSTEMROOT",
)
"""Variables that workers get. They read what strangers wrote, and have no use for keys."""
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Limits(NamedTuple):
    """What one job may take; None is no limit."""

    seconds: float | None = None
    """Of work; waiting for a worker does not count."""
    memory_bytes: int | None = None
    """Beyond what the worker has when the job begins."""


class Counts:
    """What workers have done since the process began, for metrics."""

    num_done = 0
    num_killed = 0
    """Cancelled while at work, late for a deadline or above a limit."""


counts: Final = Counts()
_at_work: Final[set[Any]] = set()
_limits = Limits()


def set_limits(limits: Limits) -> None:
    """Limits of every job from now on. A gateway sets them; a library's user may want to wait for hours."""
    global _limits  # noqa: PLW0603 (one set of workers per process)
    _limits = limits


async def offload(function: Callable[..., T], *args: Any, seconds: float | None = None) -> T:
    """`function(*args)` in a worker process, within `seconds`, waiting for a free worker included.

    The function must be importable, and its arguments and result must be ones that `pickle` takes.
    Raises what the function raises; `EngineTimeoutError` where it is late or takes longer than `Limits.seconds`, and
    `EngineError` where the process ends, as it does beyond `Limits.memory_bytes`.
    """
    job = _Job(function, args, _limits)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            return await loop.run_in_executor(_workers.executor(), job.run)
    except TimeoutError:
        raise EngineTimeoutError(f"{job.name} was not done within {seconds or 0:.3g} s") from None
    finally:
        job.give_up()


def num_at_work() -> int:
    """Jobs that a worker is at."""
    return len(_at_work)


class Turns:
    """Lets the event loop run every now and then."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    @property
    def is_due(self) -> bool:
        """Whether the last turn of the loop was more than 2 ms ago."""
        return time.perf_counter() - self._since > _SLICE_S

    async def give(self) -> None:
        """Waits for one turn of the loop, if one `is_due`."""
        if self.is_due:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


async def spaced(items: Iterable[T]) -> AsyncIterator[T]:
    """`items`, letting the event loop run in between as soon as 2 ms have passed: for many small pieces of work."""
    turns = Turns()
    for item in items:
        await turns.give()
        yield item


class _Job:
    """A call. `run` is for a thread; `give_up` may be called from any, at any time."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], limits: Limits) -> None:
        self.name = getattr(function, "__qualname__", repr(function))
        self._call = (function, args)
        self._limits = limits
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._is_given_up = False
        self._is_late = False

    def run(self) -> Any:
        """The result. Blocks."""
        worker = _workers.take()
        with self._lock:
            if self._is_given_up:
                _workers.put_back(worker)
                raise EngineError(f"{self.name} was cancelled")
            self._worker = worker
        _at_work.add(self)
        try:
            with self._time_limit(worker):
                is_done, result = worker.call(*self._call, self._limits)
        except (EOFError, OSError):
            worker.end()
            raise self._death() from None
        finally:
            _at_work.discard(self)
            with self._lock:
                self._worker = None

        _workers.put_back(worker)
        counts.num_done += 1
        if not is_done:
            raise cast("BaseException", result)
        return result

    def give_up(self) -> None:
        """Kills the worker that is at it, if any."""
        with self._lock:
            self._is_given_up = True
            if self._worker is not None:
                counts.num_killed += 1
                self._worker.kill()

    @contextlib.contextmanager
    def _time_limit(self, worker: _Worker):  # noqa: ANN202
        seconds = self._limits.seconds
        if seconds is None:
            yield
            return

        def kill() -> None:
            self._is_late = True
            counts.num_killed += 1
            worker.kill()

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # so that a late one does not kill the worker at its next job

    def _death(self) -> EngineError:
        if self._is_late:
            return EngineTimeoutError(f"{self.name} took longer than {self._limits.seconds:g} s of computing")
        if self._is_given_up:
            return EngineError(f"{self.name} was cancelled")
        return EngineError(f"{self.name} ended its process: it may need more memory than it is allowed")


class _Worker:
    """A process (`nbest.offload_worker`), which does one job after another."""

    def __init__(self) -> None:
        """Raises `OSError` where no process can be started."""
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for the parent, which ends its workers
        )
        self.is_spent = False
        """Whether it has grown so much that the next job should have a new one."""

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], limits: Limits) -> tuple[bool, Any]:
        """Whether the function returned, and what; or what it raised. Raises `EOFError` or `OSError` for a process that ended."""
        assert self._process.stdin
        assert self._process.stdout
        buffer = io.BytesIO()
        pickler = _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL)
        pickler.dump((function, args, tuple(limits)))
        write_frame(self._process.stdin, LENGTH.pack(len(pickler.texts)))
        write_frame(self._process.stdin, buffer.getbuffer())
        for text in pickler.texts:
            write_frame(self._process.stdin, text.encode("utf-8", "surrogatepass"))
        self._process.stdin.flush()

        is_done, result, self.is_spent = pickle.loads(read_frame(self._process.stdout))  # noqa: S301 (our own process)
        return is_done, result

    def kill(self) -> None:
        """Whoever waits for its reply gets an `EOFError`."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def end(self) -> None:
        """Kills it and closes its pipes."""
        self.kill()
        self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Closes this process's ends of its pipes."""
        self._process.returncode = self._process.returncode or 0  # else `Popen` warns after a fork
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()


class _Workers:
    """Those that are free, and the threads that wait for those at work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[_Worker] = []
        self._executor: ThreadPoolExecutor | None = None

    def executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(_NUM_WORKERS, thread_name_prefix="nbest-offload")
            return self._executor

    def take(self) -> _Worker:
        with self._lock:
            while self._free:
                worker = self._free.pop()
                if worker.is_alive:
                    return worker
                worker.end()
        return _Worker()

    def put_back(self, worker: _Worker) -> None:
        if worker.is_spent:
            worker.end()
            return
        with self._lock:
            self._free.append(worker)

    def close(self) -> None:
        with self._lock:
            free, self._free = self._free, []
        for worker in free:
            worker.end()

    def forget(self) -> None:
        """In a forked process: the workers are its parent's."""
        free, self._free = self._free, []
        for worker in free:
            worker.forget()
        self._lock = threading.Lock()
        self._executor = None


class _Pickler(pickle.Pickler):
    """Leaves long texts out and keeps them in `texts`."""

    def __init__(self, file: IO[bytes], *, protocol: int) -> None:
        super().__init__(file, protocol=protocol)
        self.texts: list[str] = []

    def persistent_id(self, obj: Any, /) -> int | None:
        """The place of a long text in `texts`; None for anything else."""
        if type(obj) is not str or len(obj) < LONG_TEXT:
            return None
        self.texts.append(obj)
        return len(self.texts) - 1


def write_frame(out: IO[bytes], data: bytes | memoryview) -> None:
    """Length and bytes."""
    out.write(LENGTH.pack(len(data)))
    out.write(data)


def read_frame(lines: IO[bytes]) -> bytes:
    """The bytes of one frame. Raises `EOFError` at the end."""
    head = lines.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (size,) = LENGTH.unpack(head)
    data = lines.read(size)
    if len(data) < size:
        raise EOFError
    return data


_workers: Final = _Workers()
atexit.register(_workers.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.forget)
