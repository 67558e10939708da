"""Accepts clients' connections, no more of them than there are file descriptors for."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Container
from typing import Any

from aiohttp import web

from nbest.serve.observability.minutely_log import MinutelyLog

log = logging.getLogger("nbest.serve")
_BACKLOG = 1024
_BURST = 64
"""Connections accepted in one turn of the event loop."""
_PAUSE_S = 0.1
"""Until it is tried again to accept a connection for which there was no room."""
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_SUCH_FAMILY = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class Listener:
    """Listening sockets whose connections are handled by `server`.

    At most `max_connections` are open. Where one more comes, the oldest that is not in `at_work` is closed:
    one that is kept alive, or that has not sent a request yet. Where all are at work, clients wait in
    the system's queue. (asyncio's own server logs a traceback for each connection that it has no descriptor for.)
    """

    def __init__(self, server: web.Server, *, max_connections: int, at_work: Container[object]) -> None:
        self._server = server
        self._max_connections = max_connections
        self._at_work = at_work
        self._sockets: list[socket.socket] = []
        self._opening: set[asyncio.Task[Any]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._crowded = MinutelyLog(log)
        self._exhausted = MinutelyLog(log)

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listens on every address of `host`; returns the first one. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        unavailable: OSError | None = None
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
            except OSError as e:
                if e.errno not in _NO_SUCH_FAMILY:
                    self.close()
                    raise
                unavailable = e
                continue
            listening.setblocking(False)
            self._sockets.append(listening)
        if not self._sockets:
            raise unavailable or OSError(f"{host} has no address")
        self._listen()
        return self._sockets[0].getsockname()[:2]

    def close(self) -> None:
        """Accepts no more connections; those that are open stay so."""
        loop = asyncio.get_running_loop()
        if self._resume:
            self._resume.cancel()
        for listening in self._sockets:
            loop.remove_reader(listening)
            listening.close()
        self._sockets.clear()

    def _listen(self) -> None:
        self._resume = None
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            loop.add_reader(listening, self._accept, listening)

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            loop.remove_reader(listening)
        if self._resume is None:
            self._resume = loop.call_later(_PAUSE_S, self._listen)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_BURST):
            if not self._has_room():
                self._pause()
                return
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as e:
                if e.errno not in _NO_ROOM:
                    raise
                self._exhausted.warning("no connection can be accepted: %s", e.strerror)
                self._close_oldest()
                self._pause()
                return
            connection.setblocking(False)
            self._open(connection)

    def _open(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(self._server, connection))
        self._opening.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[Any]) -> None:
        self._opening.discard(task)
        if not task.cancelled():
            task.exception()  # a client that was gone at once is no fault

    def _has_room(self) -> bool:
        num_open = len(self._server.connections) + len(self._opening)
        if num_open < self._max_connections:
            return True
        self._crowded.warning(
            "%d connections are open, as many as the limit on open files allows: those that are idle are closed",
            num_open,
        )
        return self._close_oldest()

    def _close_oldest(self) -> bool:
        """Closes the oldest connection without a request at work; whether there was one."""
        for connection in self._server.connections:
            transport = connection.transport
            is_idle = connection not in self._at_work
            if is_idle and transport is not None and not transport.is_closing():
                transport.abort()
                return True
        return False
