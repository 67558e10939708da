"""Reading replies: limits, linear cost, ends of streams, waits that servers ask for."""

import asyncio
import time
import tracemalloc
import zlib

import pytest
from aiohttp import web

from nbest import http_replies
from nbest.engines.openai.stream import CompletionStream
from nbest.errors import EngineProtocolError
from nbest.http_client import HttpClient, request_id
from nbest.http_errors import UpstreamStatusError, retry_after

DELTA = 'data: {"choices": [{"index": 0, "delta": {"content": "да"}, "finish_reason": null}]}\n\n'
FINISH = 'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
USAGE = 'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n'


class Server:
    """Answers every POST with `chunks`, then waits `open_s` before it ends the reply."""

    def __init__(self, *chunks, open_s=0.0, status=200, encoding=""):
        self.chunks = [c.encode() if isinstance(c, str) else c for c in chunks]
        self.open_s = open_s
        self.status = status
        self.headers = {"Content-Encoding": encoding} if encoding else {}
        self.ids = []

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
        self.ids.append(request.headers.get("X-Request-Id"))
        reply = web.StreamResponse(status=self.status, headers=self.headers)
        await reply.prepare(request)
        for chunk in self.chunks:
            await reply.write(chunk)
        await asyncio.sleep(self.open_s)
        return reply


def _compressed(begin, num_blanks, encoding):
    """`begin` and blanks, compressed to about a thousandth."""
    wbits = {"gzip": 31, "deflate": 15}[encoding]
    compressor = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return [compressor.compress(begin + b" " * num_blanks), compressor.flush()]


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
    monkeypatch.setattr(http_replies, "FINISHED_S", 0.1)
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
        assert time.monotonic() - started < http_replies.FINISHED_S
    assert stream.has_ended


async def test_a_reply_that_is_too_large_is_given_up():
    async with Server(*[b"{" + b" " * 2**18] * 8) as server:
        with pytest.raises(EngineProtocolError, match="a reply of more than 1 MiB"):
            await server.client.post("/x", b"{}", max_bytes=2**20)


async def test_a_stream_that_is_too_long_is_given_up():
    async with Server(*[DELTA * 1000] * 20) as server:
        with pytest.raises(EngineProtocolError, match="a stream of more than 1 MiB"):
            await server.client.post("/x", b"{}", CompletionStream(), max_bytes=2**20)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("is_stream", [False, True])
async def test_the_limit_holds_for_what_a_reply_is_decompressed_to(encoding, is_stream):
    begin = b"data: " if is_stream else b"{"
    async with Server(*_compressed(begin, 64 * 2**20, encoding), encoding=encoding) as server:
        reader = CompletionStream() if is_stream else None
        tracemalloc.start()
        with pytest.raises(EngineProtocolError, match=r"more than \d+ MiB"):
            await server.client.post("/x", b"{}", reader, max_bytes=4 * 2**20)
        most_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most_bytes < 16 * 2**20


async def test_a_compressed_reply_is_read():
    async with Server(*_compressed("{ответ: 答え}".encode(), 1000, "gzip"), encoding="gzip") as server:
        assert (await server.client.post("/x", b"{}")).strip() == "{ответ: 答え}".encode()


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_of_an_error_reply_only_the_beginning_is_read(encoding):
    chunks = [b'{"error": {"message": "nein"}}' + b" " * 64 * 2**20]
    if encoding:
        chunks = _compressed(b"Fehler", 64 * 2**20, encoding)
    async with Server(*chunks, status=503, encoding=encoding) as server:
        with pytest.raises(UpstreamStatusError) as caught:
            await server.client.post("/x", b"{}")
    assert caught.value.status == 503
    assert caught.value.is_transient
    assert len(caught.value.body) == http_replies.MAX_ERROR_BYTES


async def test_each_call_sends_the_id_of_the_request_that_it_is_made_for():
    async with Server("{}") as server:
        await server.client.post("/x", b"{}")
        for id_ in ("req_ab12", "req_cd34"):
            token = request_id.set(id_)
            await asyncio.gather(*(server.client.post("/x", b"{}") for _ in range(3)))
            request_id.reset(token)
    none, *sent = server.ids
    assert none is None
    assert [id_.rpartition("-")[0] for id_ in sent] == ["req_ab12"] * 3 + ["req_cd34"] * 3
    assert len(set(sent)) == 6


@pytest.mark.parametrize("id_", ["a\r\nX-Evil: 1", "идентификатор", "标识", "x" * 200, "", "a\x00b"])
async def test_an_id_that_no_header_can_hold_is_not_sent(id_):
    async with Server("{}") as server:
        token = request_id.set(id_)
        await server.client.post("/x", b"{}")
        request_id.reset(token)
    assert server.ids == [None]


async def test_a_line_that_is_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(http_replies, "MAX_LINE_BYTES", 2**20)
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
    lines = http_replies.LineBuffer()
    assert [lines.feed(c) for c in (b"da", b"ta", b": 1\nx")] == [b"", b"", b"data: 1\n"]
    assert (lines.rest(), lines.num_held) == (b"x", 1)
    for _ in range(1000):
        assert lines.feed(b"y" * 100) == b""
    assert lines.num_held == 100_001
    assert len(lines._held) == 1001  # nothing was joined yet
