"""Errors of HTTP servers: what their replies say, in one line, and how long they ask to wait."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from nbest.errors import EngineHttpError

_MAX_ERROR = 300
"""Characters of an error message."""
_REDIRECT, _BAD = 300, 400


class UpstreamStatusError(EngineHttpError):
    """The server answered with an error status; `body` is its reply."""

    body: bytes = b""


def status_error(
    host: str, reply: aiohttp.ClientResponse, body: bytes, *, advice: str = ""
) -> UpstreamStatusError:
    """The error for a reply with a status other than 200. `advice` ends the message."""
    message = error_text(body)
    if _REDIRECT <= reply.status < _BAD:
        location = _decodable(reply.headers.get("Location", ""))
        message = f"it redirects to {_host_and_path(location)}"
        advice = "; redirects are not followed: give that address as url"
    message = message or _decodable(reply.reason or "") or "no message"
    error = UpstreamStatusError(
        f"{host} answered {reply.status}: {message}{advice}",
        status=reply.status,
        retry_after_s=retry_after(reply.headers),
    )
    error.body = body
    return error


def error_text(raw: bytes) -> str:
    """What a server says went wrong, in one line of at most 300 characters."""
    try:
        message = _message(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = raw.decode("utf-8", "replace")
    line = " ".join(message.split())
    if len(line) <= _MAX_ERROR:
        return line
    return f"{line[: _MAX_ERROR - 1]}…"


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
    if not isfinite(number):
        return None
    return max(0.0, number)


def reason(e: BaseException) -> str:
    """What an error of the connection says, in one line, without addresses that repeat the URL."""
    inner: BaseException = e
    if isinstance(e, aiohttp.ClientConnectorError):
        inner = e.os_error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(text.split())[:200]


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
