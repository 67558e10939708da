"""A process that answers lines of JSON: how code that may hang, or needs an environment of its own, is called.

The protocol: the process writes `{"ready": true}`, then for each line `{"id": …, …}` on its standard input
one line `{"id": …, …}` on its standard output. What it writes to standard error is quoted where it fails.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import IO, Any
from weakref import WeakSet

from nbest.errors import EngineError, EngineProtocolError, EngineTimeoutError, InputError

_CHUNK = 1 << 16
_LAST_LINES = 20
_MAX_QUOTED = 500
_GRACE_S = 5.0


class WorkerProcess:
    """Started when first called, called one request at a time, started again after it has ended.

    Safe to use from several threads. A forked process has none of its parent's: it starts its own, for two
    processes on one pipe would read each other's answers.
    """

    def __init__(self, command: Sequence[str], *, start_timeout_s: float) -> None:
        """`start_timeout_s` is how long the process has until it is ready: a model may have to be loaded."""
        self.command = tuple(command)
        self._start_timeout_s = start_timeout_s
        self._ids = count(1)
        self._running: _Running | None = None
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        _workers.add(self)

    def call(self, request: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """The reply to one request. Blocks; a request that takes longer than `timeout_s` ends the process.

        Raises `InputError` for a command that does not start, `EngineTimeoutError`, `EngineProtocolError`
        for a line that is no JSON object, and `EngineError` where the process ends or replies with `error`.
        """
        with self._lock:
            process = self._live() or self._start()
            request_id = next(self._ids)
            line = json.dumps({"id": request_id, **request}) + "\n"
            with self._time_limit(process, timeout_s):
                process.write(line.encode())
                reply = process.read()
                while reply.get("id") != request_id:
                    reply = process.read()
        if "error" in reply:
            raise EngineError(f"{self}: {reply['error']}")
        return reply

    async def call_async(self, request: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """As `call`, from an event loop.

        Cancelling gives the answer up and leaves the process, and the model that it has loaded, as it is.
        """
        if self._executor is None:
            # One thread: requests wait in its queue, not in the loop's shared pool of threads.
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="worker_process")
        call = partial(self.call, request, timeout_s=timeout_s)
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Closes the process's input, so that it ends by itself; kills it where it is at work or does not end."""
        process = self._running
        if process is not None:
            is_idle = self._lock.acquire(blocking=False)
            if is_idle:
                process.end_politely()
                self._running = None
                self._lock.release()
            else:
                process.kill()
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None

    async def aclose(self) -> None:
        """As `close`, from an event loop."""
        await asyncio.to_thread(self.close)

    def forget(self) -> None:
        """Lets go of a parent's process without touching it: called in a process that was just forked."""
        if self._running is not None:
            self._running.forget()
        self._running = None
        self._lock = threading.Lock()  # the parent's may have been taken at that moment
        self._executor = None

    def __str__(self) -> str:
        return shlex.join(self.command)

    def _live(self) -> _Running | None:
        """The process that runs; one that has ended meanwhile is cleared away."""
        process = self._running
        if process is not None and process.has_ended:
            process.end()
            process = self._running = None
        return process

    def _start(self) -> _Running:
        process = self._running = _Running(self.command, str(self))
        with self._time_limit(process, self._start_timeout_s):
            reply = process.read()
            if "ready" not in reply:
                raise EngineProtocolError(f'{self}: it must begin with {{"ready": true}}')
        return process

    @contextlib.contextmanager
    def _time_limit(self, process: _Running, timeout_s: float):  # noqa: ANN202
        """Kills the process after `timeout_s`, which ends any read or write; ends it after any failure."""
        is_late = threading.Event()

        def kill() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(timeout_s, kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        except EngineError:
            process.end()
            self._running = None
            if is_late.is_set():
                raise EngineTimeoutError(f"{self}: no answer within {timeout_s:g} s") from None
            raise
        finally:
            timer.cancel()
            timer.join()  # so that a late one does not kill the process at its next request


class _Running:
    """A process and the threads that read its output."""

    def __init__(self, command: Sequence[str], shown_as: str) -> None:
        """Raises `InputError` where the command cannot be started."""
        try:
            self._process = subprocess.Popen(  # noqa: S603 (the user names the command)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,  # nothing that a fork would copy, and no lock that it would copy as taken
                start_new_session=True,  # so that a shell's children end with it
            )
        except (OSError, ValueError) as e:
            raise InputError(f"{shown_as!r} does not start: {e}") from None
        self._shown_as = shown_as
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._last_words: deque[str] = deque(maxlen=_LAST_LINES)
        self._readers = [
            _reader(self._process.stdout, self._lines.put),
            _reader(self._process.stderr, self._note_error_line),
        ]

    @property
    def has_ended(self) -> bool:
        """Whether it has exited or was killed."""
        return self._process.poll() is not None

    def write(self, line: bytes) -> None:
        """Raises `EngineError` where the process has ended."""
        assert self._process.stdin is not None
        rest = memoryview(line)
        try:
            while rest:
                written = self._process.stdin.write(rest)
                rest = rest[written:]
        except OSError:
            raise self._death() from None

    def read(self) -> dict[str, Any]:
        """The next line. Raises `EngineError` where the process has ended, or writes something else than JSON objects."""
        line = self._lines.get()
        if line is None:
            raise self._death()
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise EngineProtocolError(f"{self._shown_as}: no line of JSON: {line[:200]!r}")
        return reply  # pyright: ignore[reportUnknownVariableType]

    def kill(self) -> None:
        """May be called from any thread: whoever reads or writes gets an `EngineError`."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def end(self) -> None:
        """Kills it, and closes its pipes."""
        self.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        self._close_pipes()

    def end_politely(self) -> None:
        """Closes its input and waits a little before it is killed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        self.end()

    def forget(self) -> None:
        """Closes this process's copies of the pipes; the worker stays its parent's."""
        self._process.returncode = 0  # else `Popen` warns of, and waits for, a child of another process
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _note_error_line(self, line: bytes | None) -> None:
        if line is not None and line.strip():
            self._last_words.append(line.decode(errors="replace").rstrip())

    def _death(self) -> EngineError:
        code = self._process.wait()
        self._readers[1].join()
        words = " | ".join(self._last_words)[-_MAX_QUOTED:] or "it wrote nothing to standard error"
        return EngineError(f"{self._shown_as} ended with {code}: {words}")


def _reader(pipe: IO[bytes] | None, put: Callable[[bytes | None], object]) -> threading.Thread:
    """A thread that gives each line of `pipe` to `put`, and None at its end."""
    assert pipe is not None
    thread = threading.Thread(target=_read_lines, args=(pipe.fileno(), put), daemon=True)
    thread.start()
    return thread


def _read_lines(fd: int, put: Callable[[bytes | None], object]) -> None:
    pending = b""
    while True:
        chunk = os.read(fd, _CHUNK)
        if not chunk:
            break
        *lines, rest = chunk.split(b"\n")
        if lines:
            put(pending + lines[0])
            for line in lines[1:]:
                put(line)
            pending = b""
        pending += rest
    if pending:
        put(pending)
    put(None)


_workers: WeakSet[WorkerProcess] = WeakSet()


def _forget_all() -> None:
    for worker in _workers:
        worker.forget()


@atexit.register
def _close_all() -> None:
    for worker in list(_workers):
        worker.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
