"""A cache of completions on disk."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from typing import ClassVar
from weakref import WeakValueDictionary

import msgspec

from nbest.engines.layers.layer import Layer
from nbest.engines.openai.request import own_fields
from nbest.engines.prefix import PrefixStripper
from nbest.errors import EngineError, InputError, UnreachableError
from nbest.protocols import Capabilities, OnDelta, ServerPath
from nbest.types import Completion, Request

log = logging.getLogger("nbest.engines.cache")

_FORMAT = 1
_BUSY_S = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS draws (key BLOB PRIMARY KEY, completion BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS engines (name TEXT PRIMARY KEY, capabilities BLOB NOT NULL) WITHOUT ROWID;
"""
_encode = msgspec.json.Encoder().encode
_completion = msgspec.json.Decoder(Completion)
_capabilities = msgspec.json.Decoder(Capabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache(Layer):
    """A cache of completions on disk: the same engine, messages, prefix, parameters and seed are drawn once.

    Draw i of a request for n is stored under seed + i by itself, so that a larger pool reuses a smaller
    one. Unseeded draws at a temperature above 0 pass through, and errors are never stored. A cached
    completion has the usage that it cost when it was drawn. While the engine is unreachable, cached
    completions still answer, if its model is named. One file may serve many tasks and processes at once.

    Raises `InputError` where the file is not a cache.
    """

    is_open_to_clients: ClassVar[bool] = False

    path: ServerPath
    """SQLite file; made where it is missing."""
    _live: _Live = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_live", _Live(self.path))

    async def capabilities(self) -> Capabilities:
        """The engine's, or those it had when it last answered."""
        try:
            known = await self.engine.capabilities()
        except UnreachableError:
            stored = self._live.capabilities(self.name)
            if stored is None:
                raise
            self._live.is_met = True
            return stored
        if not self._live.is_met:
            self._live.store_capabilities(self.name, known)
            self._live.is_met = True
        return known

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        if request.params.seed is None and request.params.temperature > 0:
            return await self.engine.generate(request, on_delta)
        if not self._live.is_met:  # an engine may not know its model, and so its name, before
            await self.capabilities()
        keys = [_key(self.name, request, i) for i in range(request.n)]
        async with self._live.lock(keys[0]):  # the same request twice at once is drawn once
            return await self._complete(request, keys, on_delta)

    async def aclose(self) -> None:
        self._live.close()
        await self.engine.aclose()

    async def _complete(
        self, request: Request, keys: Sequence[bytes], on_delta: OnDelta | None
    ) -> list[Completion]:
        found = self._live.find(keys)
        if on_delta and request.n == 1 and found[0]:
            PrefixStripper(on_delta).emit_rest(found[0])
        for start, n in list(_gaps(found)):
            try:
                drawn = list(await self.engine.generate(request.part(start, n), on_delta))[:n]
            except EngineError as e:
                if not any(found):
                    raise
                drawn = [Completion.failed(str(e))] * n
            found[start : start + len(drawn)] = drawn
            self._live.store([(k, c) for k, c in zip(keys[start:], drawn, strict=False) if c.error is None])
        return [c for c in takewhile(lambda c: c is not None, found) if c]


def _key(name: str, request: Request, i: int) -> bytes:
    """SHA-256 of what draw i depends on; the role and the prompt's id are not part of that."""
    params = request.params_of(i)
    index = 0
    if params.seed is None:
        index = i
    what: list[object] = [_FORMAT, name, request.prompt.messages, request.prefix, params, index]
    own = own_fields(request)
    if own:
        what.append(own)
    return hashlib.sha256(_encode(what)).digest()


def _gaps(found: Sequence[Completion | None]) -> Iterator[tuple[int, int]]:
    """(start, length) of each run of missing draws."""
    start = 0
    for is_missing, run in groupby(found, key=lambda c: c is None):
        n = len(list(run))
        if is_missing:
            yield start, n
        start += n


class _Live:
    """The open file, and the requests that are being drawn."""

    def __init__(self, path: str) -> None:
        self.is_met = False
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    def lock(self, key: bytes) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def find(self, keys: Sequence[bytes]) -> list[Completion | None]:
        return [self._find_one(key) for key in keys]

    def _find_one(self, key: bytes) -> Completion | None:
        row = self._open().execute("SELECT completion FROM draws WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        return _completion.decode(row[0])

    def store(self, draws: Sequence[tuple[bytes, Completion]]) -> None:
        rows = [(k, _encode(c)) for k, c in draws]
        try:
            with self._open() as db:
                db.executemany("INSERT OR IGNORE INTO draws VALUES (?, ?)", rows)
        except sqlite3.Error as e:  # a full disk must not cost a draw
            log.warning("the cache %s stores nothing: %s", self._path, e)

    def capabilities(self, name: str) -> Capabilities | None:
        row = self._open().execute("SELECT capabilities FROM engines WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        return _capabilities.decode(row[0])

    def store_capabilities(self, name: str, known: Capabilities) -> None:
        with self._open() as db:
            db.execute("INSERT OR REPLACE INTO engines VALUES (?, ?)", (name, _encode(known)))

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            try:
                db = sqlite3.connect(self._path, timeout=_BUSY_S, check_same_thread=False)
            except sqlite3.Error as e:
                raise InputError(f"cannot open the cache {self._path}: {e}") from None
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                db.executescript(_TABLES)
            except sqlite3.DatabaseError as e:
                db.close()
                raise InputError(f"{self._path} is not a cache of nbest: {e}") from None
            self._db = db
        return self._db
