"""One HTTP server: pooled connections, a key that goes to no other host, and an exception for each kind of fault."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec

from nbest.errors import (
    EngineError,
    EngineHttpError,
    EngineProtocolError,
    EngineTimeoutError,
    InputError,
    UnreachableError,
)

GET_S = 30.0
"""Longest wait for a GET: callers wait for nothing else meanwhile."""
IDLE_S = 60.0
"""Longest pause inside a stream."""
FINISHED_S = 1.0
"""Longest pause once a stream is finished: usage and the end marker come at once, or never."""
MAX_REPLY_BYTES = 256 * 2**20
"""Of one reply, decompressed: 8 draws of 8 000 tokens with 20 alternatives a token take 90 MB."""
MAX_LINE_BYTES = 16 * 2**20
"""Of one line of a stream."""

_CONNECT_S = 10.0
_KEEPALIVE_S = 2.0
"""Well under the 5 s after which uvicorn (vLLM, SGLang) closes idle connections, which it may count late."""
_MAX_CONNECTIONS = 4096
_DRAIN_S = 0.05
"""For the last bytes of a stream, after which its connection can be used again."""
_SHORTEST_SECRET = 20
"""Characters; servers without keys are given words such as EMPTY, none or sk-no-key-required."""
_FIRST_OF_EVENTS = (b"d", b"e", b":", b"i", b"r")
"""data, event, error, a comment, id, retry."""
_BOM = b"\xef\xbb\xbf"
_MAX_ERROR = 300
"""Characters of an error message."""
_OPENAI_HOST = "api.openai.com"
_OK, _REDIRECT, _BAD = 200, 300, 400
_UNAUTHORIZED = frozenset({401, 403})


class UpstreamStatusError(EngineHttpError):
    """The server answered with an error status; `body` is its reply."""

    body: bytes = b""


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


class HttpClient:
    """Bytes to and from `url`. Connections are pooled, and opened in the event loop of the first call.

    The key is read from the environment when the pool is opened. It is sent to this server only
    (redirects are not followed), and no error or log shows it.
    """

    def __init__(self, url: str, *, key_env: str | None = None, timeout_s: float = 600.0) -> None:
        self.url = clean_url(url)
        self.host = urlsplit(self.url).netloc
        self._key_env = key_env or _default_key_env(self.url)
        self._is_key_required = key_env is not None
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self, path: str) -> bytes:
        """The body of a 200 reply, within `GET_S`. Raises as `post` does."""
        timeout_s = min(GET_S, self._timeout_s)
        return await self._request("GET", path, None, None, timeout_s)

    async def post(self, path: str, body: bytes, reader: StreamReader | None = None) -> bytes:
        """The body of the reply to a JSON body; b"" where it was a stream, which `reader` has taken.

        Raises `UnreachableError`, `EngineTimeoutError` after `timeout_s`, `UpstreamStatusError` with the
        server's message, and `EngineProtocolError` for a connection that breaks and for a reply that is
        too large. Cancelling closes the connection.
        """
        return await self._request("POST", path, body, reader, self._timeout_s)

    async def aclose(self) -> None:
        """Closes the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(
        self, method: str, path: str, body: bytes | None, reader: StreamReader | None, timeout_s: float
    ) -> bytes:
        async with self._translated_errors(timeout_s):
            try:
                return await self._send(self._pool(), method, path, body, reader, timeout_s)
            except aiohttp.ClientConnectionError as e:
                if not _was_closed_before(e):
                    raise
                async with self._new_pool() as fresh:  # the other idle connections are as old
                    return await self._send(fresh, method, path, body, reader, timeout_s)

    @asynccontextmanager
    async def _translated_errors(self, timeout_s: float) -> AsyncGenerator[None]:
        """Raises errors of aiohttp and the system as those of `nbest.errors`."""
        try:
            yield
        except EngineError:
            raise
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as e:
            raise UnreachableError(
                f"nobody answers at {self.url} ({_reason(e)}): start the server, or check the address"
            ) from None
        except TimeoutError:
            raise EngineTimeoutError(
                f"{self.host} did not answer within {timeout_s:g} s: raise timeout_s, or ask for less"
            ) from None
        except (aiohttp.ClientError, OSError) as e:
            raise EngineProtocolError(f"{self.host} broke off its reply ({_reason(e)})") from None

    async def _send(
        self,
        pool: aiohttp.ClientSession,
        method: str,
        path: str,
        body: bytes | None,
        reader: StreamReader | None,
        timeout_s: float,
    ) -> bytes:
        async with pool.request(
            method,
            self.url + path,
            data=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S),
        ) as reply:
            if reader is not None and reply.status == _OK:
                return await self._read_stream(reply.content, reader)
            raw = await self._read_all(reply.content)
            if reply.status == _OK:
                return self._redact(raw)
            raise self._status_error(reply, self._redact(raw, shortest=1), names_key=method == "GET")

    async def _read_all(self, content: aiohttp.StreamReader, begun: bytes = b"") -> bytes:
        """The rest of a reply behind `begun`. Raises `EngineProtocolError` beyond `MAX_REPLY_BYTES`."""
        chunks, num_bytes = [begun], len(begun)
        while chunk := await content.readany():
            chunks.append(chunk)
            num_bytes += len(chunk)
            self._check_size(num_bytes, MAX_REPLY_BYTES, "reply")
        return b"".join(chunks)

    async def _read_stream(self, content: aiohttp.StreamReader, reader: StreamReader) -> bytes:
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
            return self._redact(await self._read_all(content, begun))

        lines = _LineBuffer()
        try:
            await self._feed_lines(content, begun, lines, reader)
            async with asyncio.timeout(_DRAIN_S):
                await content.read()
        except TimeoutError:
            if not reader.is_finished:
                raise
        except (aiohttp.ClientError, OSError) as e:
            if not reader.is_finished:
                raise EngineProtocolError(f"{self.host} broke off its reply ({_reason(e)})") from None
        reader.feed(self._redact(lines.rest()))
        reader.close()
        return b""

    async def _feed_lines(
        self, content: aiohttp.StreamReader, chunk: bytes, lines: _LineBuffer, reader: StreamReader
    ) -> None:
        """Whole lines only, so that a key cut in two is redacted too."""
        num_bytes = 0
        while chunk:
            num_bytes += len(chunk)
            self._check_size(num_bytes, MAX_REPLY_BYTES, "stream")
            whole = lines.feed(chunk)
            self._check_size(lines.num_held, MAX_LINE_BYTES, "line of a stream")
            reader.feed(self._redact(whole))
            if reader.has_ended:
                return
            chunk = await self._next_chunk(content, reader)

    async def _next_chunk(self, content: aiohttp.StreamReader, reader: StreamReader) -> bytes:
        longest_s = FINISHED_S if reader.is_finished else IDLE_S
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

    def _pool(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            self._session, self._loop = self._new_pool(), loop
        return self._session

    def _new_pool(self) -> aiohttp.ClientSession:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key := self._key():
            headers["Authorization"] = f"Bearer {key}"
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=_MAX_CONNECTIONS, keepalive_timeout=_KEEPALIVE_S, ttl_dns_cache=300
            ),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _key(self) -> str | None:
        """Read each time, never stored. Raises `InputError` where `key_env` was given and holds none."""
        name = self._key_env
        key = os.environ.get(name, "").strip() if name else ""
        if not key:
            if self._is_key_required:
                raise InputError(
                    f"the environment variable {name} (key_env) holds no key for {self.host}: set it"
                )
            return None
        if not (key.isascii() and key.isprintable()):
            raise InputError(f"the environment variable {name} holds characters that no key has")
        return key

    def _redact(self, raw: bytes, *, shortest: int = _SHORTEST_SECRET) -> bytes:
        """`raw` without the key, which some servers repeat under any status.

        A key of fewer than `shortest` characters stays: it is a word that answers hold too.
        """
        key = (self._key() or "").encode()
        if len(key) < shortest:
            return raw
        for written in {key, key.replace(b"/", b"\\/")}:
            raw = raw.replace(written, b"***")
        return raw

    def _status_error(
        self, reply: aiohttp.ClientResponse, raw: bytes, *, names_key: bool
    ) -> UpstreamStatusError:
        """The error for a status other than 200.

        Only with `names_key` it says where the key came from: a gateway's clients may see other errors.
        """
        message, advice = error_text(raw), ""
        if _REDIRECT <= reply.status < _BAD:
            location = _decodable(reply.headers.get("Location", ""))
            message = f"it redirects to {_host_and_path(location)}"
            advice = "; redirects are not followed: give that address as url"
        elif reply.status in _UNAUTHORIZED:
            advice = self._advice_on_key(names_key=names_key)
        message = message or _decodable(reply.reason or "") or "no message"
        error = UpstreamStatusError(
            f"{self.host} answered {reply.status}: {message}{advice}",
            status=reply.status,
            retry_after_s=retry_after(reply.headers),
        )
        error.body = raw
        return error

    def _advice_on_key(self, *, names_key: bool) -> str:
        if not self._key():
            return '; no key was sent: name its environment variable, such as  key_env="OPENAI_API_KEY"'
        return f"; the key came from {self._key_env}" if names_key else ""


class _LineBuffer:
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


def error_text(raw: bytes) -> str:
    """What a server says went wrong, in one line of at most 300 characters."""
    try:
        message = _message(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = raw.decode("utf-8", "replace")
    line = " ".join(message.split())
    return line if len(line) <= _MAX_ERROR else f"{line[: _MAX_ERROR - 1]}…"


def _message(value: Any) -> str:
    """The human part of an error reply, whatever its shape."""
    match value:
        case {"error": inner} | {"detail": inner} | {"message": inner}:
            return _message(inner)
        case {"msg": str(text), "loc": [*_, field]}:
            return f"{field}: {text}"
        case [*parts]:
            return "; ".join(_message(part) for part in parts)
        case str():
            return value
        case _:
            return msgspec.json.encode(value).decode()


def clean_url(url: str) -> str:
    """`url` without a trailing slash or endpoint; `/v1` where it has no path. Raises `ValueError`."""
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"url must be such as http://localhost:8000/v1, got {url!r}")
    if "@" in parts.netloc:
        raise ValueError(
            "url must hold no user name or password: put the key into a variable, and name it as key_env"
        )
    path = parts.path.rstrip("/")
    for endpoint in ("/chat/completions", "/completions", "/models"):
        path = path.removesuffix(endpoint)
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait; None where it does not say.

    From `retry-after-ms` (OpenAI, Azure), else from `Retry-After` as seconds or as a date (RFC 9110 §10.2.3).
    """
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("Retry-After", "").strip()
    seconds = _seconds(value)
    if seconds is not None or not value:
        return seconds
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _seconds(value: str) -> float | None:
    """A finite number, 0 for a negative one; None for anything else."""
    try:
        number = float(value)
    except ValueError:
        return None
    return max(0.0, number) if isfinite(number) else None


def _default_key_env(url: str) -> str | None:
    """OPENAI_API_KEY belongs to OpenAI, and to the server that OPENAI_BASE_URL names; to no other."""
    base = os.environ.get("OPENAI_BASE_URL", "").rstrip("/")
    is_its_own = urlsplit(url).hostname == _OPENAI_HOST or url == base
    return "OPENAI_API_KEY" if is_its_own else None


def _host_and_path(url: str) -> str:
    """Without user, password and query, which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "no address"
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def _decodable(header: str) -> str:
    """Bytes of a header that are not UTF-8 come as lone surrogates, which JSON cannot hold."""
    return header.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _was_closed_before(e: aiohttp.ClientConnectionError) -> bool:
    """Whether an idle connection was closed as the request was sent, so that the server did nothing."""
    is_cut = isinstance(e.__cause__, aiohttp.ClientConnectionResetError)
    return isinstance(e, aiohttp.ServerDisconnectedError) or (isinstance(e, aiohttp.ClientOSError) and is_cut)


def _reason(e: BaseException) -> str:
    """One line, without addresses that repeat the URL."""
    inner = e.os_error if isinstance(e, aiohttp.ClientConnectorError) else e
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(text.split())[:200]
