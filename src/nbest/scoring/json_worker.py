"""A process that answers lines of JSON: how models in an environment of their own are asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Any

from nbest.errors import EngineError, EngineProtocolError, EngineTimeoutError, InputError
from nbest.types import Json

_LONGEST_LINE = 1 << 28
_LAST_LINES = 20
_GRACE_S = 5.0


class Worker:
    """Started when first asked, asked one thing at a time, ended with the event loop (see `per_loop`).

    The protocol: it writes `{"ready": true}`, then for each `{"id": …, "rows": […]}` one
    `{"id": …, "scores": […]}` or `{"id": …, "error": "…"}`. What it writes to standard error is shown
    where it fails.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()
        self._ids = count(1)
        self._last_words: deque[str] = deque(maxlen=_LAST_LINES)
        self._listener: asyncio.Task[None] | None = None

    async def scores(self, rows: Sequence[Json], timeout_s: float | None) -> list[float]:
        """One number per row. A worker that died is started again at the next call.

        Raises `InputError` for a command that does not start, and `EngineError` otherwise.
        """
        try:
            async with asyncio.timeout(timeout_s), self._lock:
                id_ = next(self._ids)
                process = await self._started()
                line = json.dumps({"id": id_, "rows": list(rows)}) + "\n"
                await self._write(process, line.encode())
                reply = await self._read(process)
                while reply.get("id") != id_:  # an answer that nobody waited for
                    reply = await self._read(process)
        except TimeoutError:
            raise EngineTimeoutError(f"{self.command}: no answer within {timeout_s:g} s") from None
        if "error" in reply:
            raise EngineError(f"{self.command}: {reply['error']}")
        scores = reply.get("scores")
        if not isinstance(scores, list) or len(scores) != len(rows):  # pyright: ignore[reportUnknownArgumentType]
            raise EngineProtocolError(f"{self.command}: asked for {len(rows)} scores, got {str(reply)[:200]}")
        return [float(s) for s in scores]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]

    async def aclose(self) -> None:
        """Closes its input, so that it ends by itself; kills it where it does not."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                async with asyncio.timeout(_GRACE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        try:
            process = await asyncio.create_subprocess_exec(
                *shlex.split(self.command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
            )
        except (OSError, ValueError) as e:
            raise InputError(f"{self.command!r} does not start: {e}") from None
        self._process = process
        self._last_words.clear()
        self._listener = asyncio.create_task(self._listen(process))
        if "ready" not in await self._read(process):
            raise EngineProtocolError(f'{self.command}: it must begin with {{"ready": true}}')
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self._last_words.append(line.decode(errors="replace").rstrip())

    async def _write(self, process: asyncio.subprocess.Process, line: bytes) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(line)
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise await self._death(process) from None

    async def _read(self, process: asyncio.subprocess.Process) -> dict[str, Any]:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise await self._death(process)
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise EngineProtocolError(f"{self.command}: no line of JSON: {line[:200]!r}")
        return reply  # pyright: ignore[reportUnknownVariableType]

    async def _death(self, process: asyncio.subprocess.Process) -> EngineError:
        code = await process.wait()
        if self._listener is not None:
            await self._listener
        words = " | ".join(w for w in self._last_words if w.strip())[-500:] or "it said nothing"
        return EngineError(f"{self.command} ended with {code}: {words}")
