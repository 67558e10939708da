"""Reading replies: limits, linear cost, ends of streams, waits that servers ask for."""

import asyncio
import time

import pytest
from aiohttp import web

from nbest import http_client
from nbest.engines.openai.stream import CompletionStream
from nbest.errors import EngineProtocolError
from nbest.http_client import HttpClient, retry_after

DELTA = 'data: {"choices": [{"index": 0, "delta": {"content": "да"}, "finish_reason": null}]}\n\n'
FINISH = 'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
USAGE = 'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n'


class Server:
    """Answers every POST with `chunks`, then waits `open_s` before it ends the reply."""

    def __init__(self, *chunks, open_s=0.0, status=200):
        self.chunks = [c.encode() if isinstance(c, str) else c for c in chunks]
        self.open_s = open_s
        self.status = status

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/v1/x", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.client = HttpClient(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1")
        return self

    async def __aexit__(self, *_):
        await self.client.aclose()
        await self._runner.cleanup()

    async def _answer(self, request):
        reply = web.StreamResponse(status=self.status)
        await reply.prepare(request)
        for chunk in self.chunks:
            await reply.write(chunk)
        await asyncio.sleep(self.open_s)
        return reply


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "-7"}, 0.0),
        ({"Retry-After": "nan"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "1"}, 1.0),
        ({"retry-after-ms": "inf", "Retry-After": "1"}, 1.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_waits_that_servers_ask_for(headers, seconds):
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("end", [(FINISH, USAGE), (FINISH,)])
async def test_a_finished_stream_whose_connection_stays_open_ends(monkeypatch, end):
    monkeypatch.setattr(http_client, "FINISHED_S", 0.1)
    async with Server(DELTA, *end, open_s=30.0) as server:
        stream = CompletionStream()
        async with asyncio.timeout(5):
            assert await server.client.post("/x", b"{}", stream) == b""
    assert stream.reply().choices[0].message.content == "да"
    assert bool(stream.reply().usage) == (len(end) == 2)


async def test_the_count_of_a_finished_stream_is_its_end():
    async with Server(DELTA, FINISH, USAGE, open_s=30.0) as server:
        stream = CompletionStream()
        started = time.monotonic()
        await server.client.post("/x", b"{}", stream)
        assert time.monotonic() - started < http_client.FINISHED_S
    assert stream.has_ended


@pytest.mark.parametrize("status", [200, 500])
async def test_a_reply_that_is_too_large_is_given_up(monkeypatch, status):
    monkeypatch.setattr(http_client, "MAX_REPLY_BYTES", 2**20)
    async with Server(*[b"{" + b" " * 2**18] * 8, status=status) as server:
        with pytest.raises(EngineProtocolError, match="a reply of more than 1 MiB"):
            await server.client.post("/x", b"{}")


async def test_a_stream_that_is_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(http_client, "MAX_REPLY_BYTES", 2**20)
    async with Server(*[DELTA * 1000] * 20) as server:
        with pytest.raises(EngineProtocolError, match="a stream of more than 1 MiB"):
            await server.client.post("/x", b"{}", CompletionStream())


async def test_a_line_that_is_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(http_client, "MAX_LINE_BYTES", 2**20)
    async with Server("data: ", *[b"a" * 2**18] * 8) as server:
        with pytest.raises(EngineProtocolError, match="a line of a stream of more than 1 MiB"):
            await server.client.post("/x", b"{}", CompletionStream())


async def test_a_long_line_in_many_chunks_is_read_as_one():
    text = "三" * 2**19
    line = DELTA.replace("да", text).encode()
    chunks = [line[i : i + 2**12] for i in range(0, len(line), 2**12)]
    async with Server(*chunks, FINISH, USAGE) as server:
        stream = CompletionStream()
        await server.client.post("/x", b"{}", stream)
    assert stream.reply().choices[0].message.content == text


def test_each_byte_of_a_long_line_is_copied_a_bounded_number_of_times():
    lines = http_client._LineBuffer()
    assert [lines.feed(c) for c in (b"da", b"ta", b": 1\nx")] == [b"", b"", b"data: 1\n"]
    assert (lines.rest(), lines.num_held) == (b"x", 1)
    for _ in range(1000):
        assert lines.feed(b"y" * 100) == b""
    assert lines.num_held == 100_001
    assert len(lines._held) == 1001  # nothing was joined yet
