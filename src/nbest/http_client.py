"""One HTTP server: pooled connections, a key that goes to no other host, and an exception for each kind of fault."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from nbest.errors import (
    EngineError,
    EngineProtocolError,
    EngineTimeoutError,
    InputError,
    UnreachableError,
)
from nbest.http_errors import reason, status_error
from nbest.http_replies import MAX_REPLY_BYTES, ReplyReader, StreamReader

request_id: ContextVar[str | None] = ContextVar("nbest_request_id", default=None)
"""Id of the request that calls are made for. Each call sends it to the server as `X-Request-Id`, with a number behind it
that is the call's own: vLLM takes the header as its own id, of which no two may be alike. None: no header."""

GET_S = 30.0
"""Longest wait for a GET: callers wait for nothing else meanwhile."""
MAX_GET_BYTES = 16 * 2**20

_CONNECT_S = 10.0
_KEEPALIVE_S = 2.0
"""Well under the 5 s after which uvicorn (vLLM, SGLang) closes idle connections, which it may count late."""
_MAX_CONNECTIONS = 4096
_SHORTEST_SECRET = 20
"""Characters; servers without keys are given words such as EMPTY, none or sk-no-key-required."""
_MAX_REQUEST_ID = 128
"""Characters; a longer id, or one that no header can hold, is not sent."""
_OPENAI_HOST = "api.openai.com"
_OK = 200
_UNAUTHORIZED = frozenset({401, 403})
_call_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    method: Literal["GET", "POST"]
    path: str
    timeout_s: float
    max_bytes: int
    body: bytes | None = None
    reader: StreamReader | None = None


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
        return await self._request(
            _Call(method="GET", path=path, timeout_s=timeout_s, max_bytes=MAX_GET_BYTES)
        )

    async def post(
        self,
        path: str,
        body: bytes,
        reader: StreamReader | None = None,
        *,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> bytes:
        """The body of the reply to a JSON body; b"" where it was a stream, which `reader` has taken.

        Raises `UnreachableError`, `EngineTimeoutError` after `timeout_s`, `UpstreamStatusError` with the
        server's message, and `EngineProtocolError` for a connection that breaks and for a reply of more than
        `max_bytes`, decompressed. Cancelling closes the connection.
        """
        call = _Call(
            method="POST",
            path=path,
            timeout_s=self._timeout_s,
            max_bytes=max_bytes,
            body=body,
            reader=reader,
        )
        return await self._request(call)

    async def aclose(self) -> None:
        """Closes the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(self, call: _Call) -> bytes:
        async with self._translated_errors(call.timeout_s):
            try:
                return await self._send(self._pool(), call)
            except aiohttp.ClientConnectionError as e:
                if not _was_closed_before(e):
                    raise
                async with self._new_pool() as fresh:  # the other idle connections are as old
                    return await self._send(fresh, call)

    @asynccontextmanager
    async def _translated_errors(self, timeout_s: float) -> AsyncGenerator[None]:
        """Raises errors of aiohttp and the system as those of `nbest.errors`."""
        try:
            yield
        except EngineError:
            raise
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as e:
            raise UnreachableError(
                f"nobody answers at {self.url} ({reason(e)}): start the server, or check the address"
            ) from None
        except TimeoutError:
            raise EngineTimeoutError(
                f"{self.host} did not answer within {timeout_s:g} s: raise timeout_s, or ask for less"
            ) from None
        except (aiohttp.ClientError, OSError) as e:
            raise EngineProtocolError(f"{self.host} broke off its reply ({reason(e)})") from None

    async def _send(self, pool: aiohttp.ClientSession, call: _Call) -> bytes:
        async with pool.request(
            call.method,
            self.url + call.path,
            data=call.body,
            headers=_id_headers(),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=call.timeout_s, sock_connect=_CONNECT_S),
        ) as reply:
            reading = ReplyReader(host=self.host, redact=self._redact, max_bytes=call.max_bytes)
            if reply.status != _OK:
                body = self._redact(await reading.beginning(reply.content), shortest=1)
                advice = ""
                if reply.status in _UNAUTHORIZED:
                    # A gateway's clients see errors of POST, and never where its key comes from.
                    advice = self._advice_on_key(names_key=call.method == "GET")
                raise status_error(self.host, reply, body, advice=advice)
            if call.reader is not None:
                return await reading.stream(reply.content, call.reader)
            return await reading.whole(reply.content)

    def _pool(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            self._session, self._loop = self._new_pool(), loop
        return self._session

    def _new_pool(self) -> aiohttp.ClientSession:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = self._key()
        if key:
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
        name = self._key_env or ""
        key = os.environ.get(name, "").strip()
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

    def _advice_on_key(self, *, names_key: bool) -> str:
        if not self._key():
            return '; no key was sent: name its environment variable, such as  key_env="OPENAI_API_KEY"'
        if not names_key:
            return ""
        return f"; the key came from {self._key_env}"


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


def _default_key_env(url: str) -> str | None:
    """OPENAI_API_KEY belongs to OpenAI, and to the server that OPENAI_BASE_URL names; to no other."""
    base = os.environ.get("OPENAI_BASE_URL", "").rstrip("/")
    if urlsplit(url).hostname == _OPENAI_HOST or url == base:
        return "OPENAI_API_KEY"
    return None


def _id_headers() -> Mapping[str, str]:
    id_ = request_id.get()
    if not id_ or len(id_) > _MAX_REQUEST_ID or not (id_.isascii() and id_.isprintable()):
        return {}
    return {"X-Request-Id": f"{id_}-{next(_call_numbers)}"}


def _was_closed_before(e: aiohttp.ClientConnectionError) -> bool:
    """Whether an idle connection was closed as the request was sent, so that the server did nothing."""
    is_cut = isinstance(e.__cause__, aiohttp.ClientConnectionResetError)
    return isinstance(e, aiohttp.ServerDisconnectedError) or (isinstance(e, aiohttp.ClientOSError) and is_cut)
