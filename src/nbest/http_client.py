"""One HTTP server: a pooled connection, a key that goes nowhere else, and its faults by kind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
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

_CONNECT_S = 10.0
GET_S = 30.0
"""For what a server knows without drawing: who waits for that waits for nothing else."""
_KEEPALIVE_S = 2.0
"""Well under the 5 s after which uvicorn (vLLM, SGLang) hangs up, which a busy server counts late."""
_MAX_CONNECTIONS = 4096
IDLE_S = 60.0
"""How long a stream that has begun may be silent."""
_LAST_S = 0.05
_SHORTEST_SECRET = 20
"""Characters; servers without keys are given words such as EMPTY, none or sk-no-key-required."""
_FIRST_OF_EVENTS = (b"d", b"e", b":", b"i", b"r", b"\xef")
"""data, event, error, a comment, id, retry, a byte order mark."""
_MAX_ERROR = 300
"""Characters of an error that are shown."""
_OPENAI_HOST = "api.openai.com"
_OK, _REDIRECT, _BAD = 200, 300, 400
_UNAUTHORIZED = frozenset({401, 403})


class UpstreamStatusError(EngineHttpError):
    """An error status, with the body that came with it."""

    body: bytes = b""


class StreamReader(Protocol):
    """Takes the bytes of a streamed reply (server-sent events) as they come."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to come."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether everything needed has come, so that a connection that breaks now costs nothing."""
        ...

    def feed(self, chunk: bytes) -> None:
        """Takes whole lines. Raises `EngineError`."""
        ...

    def close(self) -> None:
        """Takes the end of the stream. Raises `EngineError` where the reply is not whole."""
        ...


class HttpClient:
    """Bytes to and from `url`; connections are pooled and made in the loop that first asks.

    The key is read from the environment when the pool is made. It is sent to this server only
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
        """The body of a 200 reply, within `GET_S` at most. Raises as `post` does."""
        return await self._ask("GET", path, None, timeout_s=min(GET_S, self._timeout_s))

    async def post(self, path: str, body: bytes, reader: StreamReader | None = None) -> bytes:
        """The body of the reply to JSON; b"" where it was a stream, which `reader` has taken.

        Raises `UnreachableError`, `EngineTimeoutError` after `timeout_s`, `EngineHttpError` with the
        server's own words (a `UpstreamStatusError`, which keeps the body), and `EngineProtocolError` for a
        connection that breaks. Cancelling closes the connection.
        """
        return await self._ask("POST", path, body, reader)

    async def aclose(self) -> None:
        """Closes the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        reader: StreamReader | None = None,
        *,
        timeout_s: float | None = None,
    ) -> bytes:
        timeout_s = timeout_s or self._timeout_s
        try:
            try:
                return await self._once(self._pool(), method, path, body, reader, timeout_s)
            except aiohttp.ClientConnectionError as e:
                if not _was_closed_before(e):
                    raise
                async with self._new_pool() as fresh:  # the other idle connections are as old
                    return await self._once(fresh, method, path, body, reader, timeout_s)
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

    async def _once(
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
                return await self._listen(reply.content, reader)
            raw = await reply.read()
            if reply.status == _OK:
                return self._redact(raw)
            raise self._refusal(reply, self._redact(raw, shortest=1), is_asked_first=method == "GET")

    async def _listen(self, content: aiohttp.StreamReader, reader: StreamReader) -> bytes:
        """Reads a stream to its end, or all of a reply that is none: by its first byte, for servers name
        either what they like."""
        raw = b""
        while not raw.lstrip():
            if not (piece := await content.readany()):
                return raw
            raw += piece
        if raw.lstrip()[:1] not in _FIRST_OF_EVENTS:
            return self._redact(raw + await content.read())
        held = b""
        try:
            while raw and not reader.has_ended:
                # A key may come in two pieces, but not in two lines.
                whole, held = _lines(held + raw)
                reader.feed(self._redact(whole))
                raw = await self._next(content, reader)
            async with asyncio.timeout(_LAST_S):  # the connection can serve again once its last byte is read
                await content.read()
        except TimeoutError:
            if not reader.is_finished:
                raise
        except (aiohttp.ClientError, OSError) as e:
            if not reader.is_finished:
                raise EngineProtocolError(f"{self.host} broke off its reply ({_reason(e)})") from None
        reader.feed(self._redact(held))
        reader.close()
        return b""

    async def _next(self, content: aiohttp.StreamReader, reader: StreamReader) -> bytes:
        silence = asyncio.timeout(IDLE_S)
        try:
            async with silence:
                return await content.readany()
        except TimeoutError:
            if reader.is_finished or not silence.expired():
                raise
            raise EngineTimeoutError(
                f"{self.host} fell silent for {IDLE_S:g} s in the middle of its reply"
            ) from None

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
        """Read each time, never kept. Raises `InputError` where a key was named and is not there."""
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
        """A reply, or a piece of one, without the key: some servers repeat it, under any status.

        A key of less than `shortest` characters stays: it is a word that answers hold too.
        """
        key = (self._key() or "").encode()
        for shown in {key, key.replace(b"/", b"\\/")} if len(key) >= shortest else ():
            raw = raw.replace(shown, b"***")
        return raw

    def _refusal(self, reply: aiohttp.ClientResponse, raw: bytes, *, is_asked_first: bool) -> EngineHttpError:
        """What a server says of its models is for whoever named it; other errors may reach a gateway's clients,
        whom it does not concern where the key comes from."""
        said, todo = error_text(raw), ""
        if _REDIRECT <= reply.status < _BAD:
            said = f"it redirects to {_place(_text(reply.headers.get('Location', '')))}"
            todo = "; redirects are not followed: give that address as url"
        elif reply.status in _UNAUTHORIZED:
            todo = '; no key was sent: name its environment variable, such as  key_env="OPENAI_API_KEY"'
            if self._key():
                todo = f"; the key came from {self._key_env}" if is_asked_first else ""
        said = said or _text(reply.reason or "") or "no message"
        error = UpstreamStatusError(
            f"{self.host} answered {reply.status}: {said}{todo}",
            status=reply.status,
            retry_after_s=retry_after(reply.headers),
        )
        error.body = raw
        return error


def error_text(raw: bytes) -> str:
    """What a server says went wrong, in one line of at most 300 characters."""
    try:
        said = _message(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = raw.decode("utf-8", "replace")
    line = " ".join(said.split())
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
    """Seconds that a server asks to wait: `Retry-After` as seconds or as a date; None without one."""
    said = headers.get("Retry-After", "").strip()
    if not said:
        return None
    try:
        return max(0.0, seconds) if isfinite(seconds := float(said)) else None
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def _lines(raw: bytes) -> tuple[bytes, bytes]:
    """The lines of `raw` that have ended, and the rest."""
    cut = max(raw.rfind(b"\n"), raw.rfind(b"\r")) + 1
    return raw[:cut], raw[cut:]


def _default_key_env(url: str) -> str | None:
    """OPENAI_API_KEY belongs to OpenAI, and to the server that OPENAI_BASE_URL names; to no other."""
    base = os.environ.get("OPENAI_BASE_URL", "").rstrip("/")
    is_its_own = urlsplit(url).hostname == _OPENAI_HOST or url == base
    return "OPENAI_API_KEY" if is_its_own else None


def _place(url: str) -> str:
    """Host and path, without what may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "no address"
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def _text(header: str) -> str:
    """A header in another encoding than UTF-8 is kept as half surrogate pairs, which JSON cannot say."""
    return header.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _was_closed_before(e: aiohttp.ClientConnectionError) -> bool:
    """Whether a connection was idle and closed just now, so that nothing was done."""
    is_cut = isinstance(e.__cause__, aiohttp.ClientConnectionResetError)  # while the request was written
    return isinstance(e, aiohttp.ServerDisconnectedError) or (isinstance(e, aiohttp.ClientOSError) and is_cut)


def _reason(e: BaseException) -> str:
    """One line, without addresses that repeat the URL."""
    inner = e.os_error if isinstance(e, aiohttp.ClientConnectorError) else e
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(text.split())[:200]
