"""How many connections are open, and what becomes of one too many."""

import asyncio
import contextlib
import errno
import logging
import socket

import pytest
from aiohttp import ClientSession, web

from nbest.serve.listener import Listener


class Running:
    """A server with a listener before it."""

    def __init__(self, max_connections):
        self.at_work = set()
        self._max_connections = max_connections
        self.may_answer = asyncio.Event()
        self._has_come = asyncio.Semaphore(0)

    async def __aenter__(self):
        app = web.Application()
        app.router.add_get("/slow", self._slow)
        app.router.add_get("/", self._quick)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self.server = self._runner.server
        self.listener = Listener(self.server, max_connections=self._max_connections, at_work=self.at_work)
        _, self.port = await self.listener.start("127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self.listener.close()
        await self._runner.cleanup()

    async def _slow(self, request):
        self.at_work.add(request.protocol)
        self._has_come.release()
        await self.may_answer.wait()
        self.at_work.discard(request.protocol)
        return web.Response(text="はい")

    async def _quick(self, request):
        return web.Response(text="نعم")

    async def have_come(self, num):
        for _ in range(num):
            await self._has_come.acquire()

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def get(self, path="/"):
        async with ClientSession() as session, session.get(self.base + path) as reply:
            return await reply.text()


async def test_the_oldest_idle_connection_makes_room_for_a_new_one(caplog):
    async with Running(5) as running:
        idle = [await running.connect() for _ in range(20)]
        assert await asyncio.wait_for(running.get(), 5) == "نعم"
        assert len(running.server.connections) <= 5
        for reader, _ in idle[:5]:
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
        for _, writer in idle:
            writer.close()
    lines = [r for r in caplog.records if "connections are open" in r.message]
    assert len(lines) == 1


async def test_a_connection_at_work_is_not_closed_and_a_new_one_waits():
    async with Running(3) as running:
        slow = [asyncio.ensure_future(running.get("/slow")) for _ in range(3)]
        await running.have_come(3)
        late = asyncio.ensure_future(running.get())
        done, _ = await asyncio.wait({late}, timeout=0.3)
        assert not done
        running.may_answer.set()
        assert await asyncio.wait_for(asyncio.gather(*slow), 5) == ["はい"] * 3
        assert await asyncio.wait_for(late, 5) == "نعم"


@pytest.mark.parametrize("kind", [errno.EMFILE, errno.ENFILE])
async def test_without_descriptors_there_is_one_line_and_then_answers_again(monkeypatch, caplog, kind):
    async with Running(100) as running:
        (listening,) = running.listener._sockets
        has_room = False

        class Refusing:
            def accept(self):
                if not has_room:
                    raise OSError(kind, "Too many open files")
                return listening.accept()

            def fileno(self):
                return listening.fileno()

            def close(self):
                listening.close()

        asyncio.get_running_loop().remove_reader(listening)
        running.listener._sockets = [Refusing()]
        running.listener._listen()
        late = asyncio.ensure_future(running.get())
        await asyncio.sleep(0.5)
        assert not late.done()
        has_room = True
        assert await asyncio.wait_for(late, 5) == "نعم"
    lines = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert "no connection can be accepted: Too many open files" in lines[0].message


async def test_an_address_in_use_is_an_error():
    async with Running(5) as running:
        other = Listener(running.server, max_connections=5, at_work=())
        with pytest.raises(OSError, match="ddress already in use"):
            await other.start("127.0.0.1", running.port)


async def test_every_address_of_a_name_is_listened_on():
    async with Running(5) as running:
        other = Listener(running.server, max_connections=5, at_work=())
        host, port = await other.start("localhost", 0)
        assert host in {"127.0.0.1", "::1"}
        with socket.create_connection((host, port), timeout=5):
            pass
        other.close()
