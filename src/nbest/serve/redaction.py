"""What the configuration says and clients may not read: addresses, files, names of environment variables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from nbest.protocols import on_server
from nbest.registry.plugins import types_of
from nbest.types import Json

Redact = Callable[[str], str]

_SHORTEST = 6
"""Shorter values are parts of other words."""
_ADDRESS = "an address"
"""`ServerUrl`'s word for what it is."""
_VARIABLE = re.compile(r"\b[Tt]he environment variable \w+")
_SOCKET = re.compile(r"Connect call failed \([^)]*\)")
"""asyncio's words, with the address that a name was resolved to."""
_BEFORE = r"(?:(@)|\w+://|(?<![\w.-]))"
_BEHIND = r"(?![\w-]|\.\w|:\d)"
_PATH = r"(?:/[^\s\"'),;:]*)?"


class Redaction:
    """Replaces in texts for clients what plug-ins declare as being on the server (`ServerUrl`, `ServerPath`, …)."""

    def __init__(self, plugins: Iterable[Any]) -> None:
        values = {value for plugin in plugins for value in _server_values(plugin)}
        hosts = {_host(text) for kind, text in values if kind == _ADDRESS} - {""}
        others = {text for kind, text in values if kind != _ADDRESS and len(text) >= _SHORTEST}
        # A longer one may begin with a shorter one.
        self._addresses = [
            re.compile(rf"{_BEFORE}{re.escape(host)}{_BEHIND}{_PATH}")
            for host in sorted(hosts, key=len, reverse=True)
        ]
        self._others = sorted(others, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """`text` with "the upstream server" for addresses, and without those behind an engine's name."""
        for address in self._addresses:
            text = address.sub(_replacement, text)
        text = _VARIABLE.sub("an environment variable", text)
        text = _SOCKET.sub("connection failed", text)
        for value in self._others:
            text = text.replace(value, "…")
        return text

    def within(self, value: Json) -> Json:
        """The same in every text of a JSON value, but for the keys of objects."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Json]", value).items()
            return {key: self.within(inner) for key, inner in items}
        if isinstance(value, Sequence):
            return [self.within(inner) for inner in cast("Sequence[Json]", value)]
        return value


def _replacement(found: re.Match[str]) -> str:
    """An engine's name `openai/MODEL@HOST` becomes `openai/MODEL`."""
    return "" if found[1] else "the upstream server"


def _host(url: str) -> str:
    """Host and port, be the URL without a scheme."""
    parts = urlsplit(url if "://" in url else f"//{url}")
    return parts.netloc.rpartition("@")[2]


def _server_values(plugin: Any) -> Iterator[tuple[str, str]]:
    """What they are and texts, of the fields that are on the server, of a plug-in and those within it."""
    hints = types_of(cast("type[Any]", type(plugin)))
    for field in dataclasses.fields(plugin):
        if not field.init:
            continue
        mark = on_server(hints[field.name])
        for value in _parts(getattr(plugin, field.name)):
            if dataclasses.is_dataclass(value):
                yield from _server_values(value)
            elif isinstance(value, str) and mark is not None and mark.is_secret:
                yield mark.what, value


def _parts(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, (tuple, list)) else (value,)
