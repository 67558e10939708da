"""Reads replies of HTTP servers within limits: whole ones, and streams line by line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from nbest.errors import EngineProtocolError, EngineTimeoutError
from nbest.http_errors import reason

IDLE_S = 60.0
"""Longest pause inside a stream."""
FINISHED_S = 1.0
"""Longest pause once a stream is finished: usage and the end marker come at once, or never."""
MAX_REPLY_BYTES = 256 * 2**20
"""Of one reply, decompressed: 8 draws of 8 000 tokens with 20 alternatives a token take 90 MB."""
MAX_LINE_BYTES = 16 * 2**20
"""Of one line of a stream."""
MAX_ERROR_BYTES = 2**20
"""Of the body of an error reply; what comes after is not read."""

_DRAIN_S = 0.05
"""For the last bytes of a stream, after which its connection can be used again."""
_FIRST_OF_EVENTS = (b"d", b"e", b":", b"i", b"r")
"""data, event, error, a comment, id, retry."""
_BOM = b"\xef\xbb\xbf"


class StreamReader(Protocol):
    """Takes the bytes of a streamed reply (server-sent events) as they come."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to come."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether all texts have come, so that a connection that breaks now costs nothing."""
        ...

    def feed(self, chunk: bytes) -> None:
        """Takes whole lines. Raises `EngineError`."""
        ...

    def close(self) -> None:
        """Takes the end of the stream. Raises `EngineError` where the reply is not whole."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReader:
    """Reads one reply of `host`. Sizes are those of the decompressed bytes."""

    host: str
    redact: Callable[[bytes], bytes]
    """Takes the key out of whole lines, or of a whole reply."""
    max_bytes: int

    async def whole(self, content: aiohttp.StreamReader, begun: bytes = b"") -> bytes:
        """The rest of a reply behind `begun`. Raises `EngineProtocolError` beyond `max_bytes`."""
        parts, num_bytes = [begun], len(begun)
        async for chunk in content.iter_any():
            parts.append(chunk)
            num_bytes += len(chunk)
            self._check_size(num_bytes, self.max_bytes, "reply")
        return self.redact(b"".join(parts))

    async def beginning(self, content: aiohttp.StreamReader) -> bytes:
        """The first `MAX_ERROR_BYTES` of a reply, not redacted."""
        parts, num_bytes = list[bytes](), 0
        async for chunk in content.iter_any():
            parts.append(chunk)
            num_bytes += len(chunk)
            if num_bytes >= MAX_ERROR_BYTES:
                break
        return b"".join(parts)[:MAX_ERROR_BYTES]

    async def stream(self, content: aiohttp.StreamReader, reader: StreamReader) -> bytes:
        """Feeds a stream to `reader` and returns b""; returns the body of a reply that is no stream.

        The first byte decides, because servers name either content type for either.
        """
        begun = b""
        while not begun.removeprefix(_BOM).lstrip():
            chunk = await content.readany()
            if not chunk:
                return begun
            begun += chunk
        if begun.removeprefix(_BOM).lstrip()[:1] not in _FIRST_OF_EVENTS:
            return await self.whole(content, begun)

        lines = LineBuffer()
        try:
            await self._feed_lines(content, begun, lines, reader)
            async with asyncio.timeout(_DRAIN_S):
                async for _ in content.iter_any():
                    pass
        except TimeoutError:
            if not reader.is_finished:
                raise
        except (aiohttp.ClientError, OSError) as e:
            if not reader.is_finished:
                raise EngineProtocolError(f"{self.host} broke off its reply ({reason(e)})") from None
        reader.feed(self.redact(lines.rest()))
        reader.close()
        return b""

    async def _feed_lines(
        self, content: aiohttp.StreamReader, chunk: bytes, lines: LineBuffer, reader: StreamReader
    ) -> None:
        """Whole lines only, so that a key cut in two is redacted too."""
        num_bytes = 0
        while chunk:
            num_bytes += len(chunk)
            self._check_size(num_bytes, self.max_bytes, "stream")
            whole = lines.feed(chunk)
            self._check_size(lines.num_held, MAX_LINE_BYTES, "line of a stream")
            reader.feed(self.redact(whole))
            if reader.has_ended:
                return
            chunk = await self._next_chunk(content, reader)

    async def _next_chunk(self, content: aiohttp.StreamReader, reader: StreamReader) -> bytes:
        longest_s = IDLE_S
        if reader.is_finished:
            longest_s = FINISHED_S
        silence = asyncio.timeout(longest_s)
        try:
            async with silence:
                return await content.readany()
        except TimeoutError:
            if reader.is_finished or not silence.expired():
                raise
            raise EngineTimeoutError(
                f"{self.host} sent nothing for {longest_s:g} s in the middle of its reply"
            ) from None

    def _check_size(self, num_bytes: int, most: int, what: str) -> None:
        if num_bytes > most:
            raise EngineProtocolError(f"{self.host} sent a {what} of more than {most // 2**20} MiB")


class LineBuffer:
    """Cuts a stream of bytes into whole lines; each byte is copied twice, however long its line is."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self.num_held = 0
        """Bytes of the line that has not ended."""

    def feed(self, chunk: bytes) -> bytes:
        """The lines that have ended with `chunk`, line ends included."""
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if not end:
            self._held.append(chunk)
            self.num_held += len(chunk)
            return b""
        lines = b"".join([*self._held, chunk[:end]])
        self._held = [chunk[end:]]
        self.num_held = len(chunk) - end
        return lines

    def rest(self) -> bytes:
        """The line that has not ended."""
        return b"".join(self._held)
