"""llama.cpp inside this process: one model, its slots, and the native endpoints of its server.

Calls go over the loopback server that xllamacpp opens anyway, with an API key that only this process
knows. That is as fast as its in-process `handle_*` functions (benchmarks/throughput.md), because no
interpreter lock is taken per token, and the native reply says more: token ids, and a count for each of n draws.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import msgspec

from nbest.engines.llamacpp.slots import SlotScheduler
from nbest.errors import (
    CapabilityError,
    EngineError,
    EngineHttpError,
    EngineProtocolError,
    InputError,
    UnreachableError,
)

T = TypeVar("T")

_LONGEST_LINE = 2**24
_POLL_S = 1.1
"""llama.cpp checks once a second whether a client is still connected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What llama.cpp is started with."""

    path: Path
    slots: int
    """Sequences drawn at once."""
    spare: int
    """Further slots, which cache texts that may be continued."""
    context: int
    """Tokens per slot."""
    threads: int
    gpu_layers: int


def is_small(path: Path) -> bool:
    """Whether a model file is below 256 MB, so that memory need not be saved."""
    return path.stat().st_size < 2**28


class LlamaServer:
    """A running llama.cpp. Started and closed in a thread, called from any number of event loops."""

    def __init__(self, config: ServerConfig) -> None:
        """Loads the model; blocks. Raises `InputError` where llama.cpp cannot use the file."""
        self.config = config
        self._key = secrets.token_hex(16)
        self._server: Any = _start(config, self._key)
        address = urlsplit(str(self._server.listening_address))
        self._host, self._port = address.hostname or "127.0.0.1", address.port
        self._sockets: set[Any] = set()
        self._noticed_at = 0.0
        """When llama.cpp will have noticed the last closed connection."""
        self._slots: WeakKeyDictionary[asyncio.AbstractEventLoop, SlotScheduler] = WeakKeyDictionary()

    @property
    def is_closed(self) -> bool:
        return self._server is None

    def close(self) -> None:
        """Ends the calls that still run, frees memory and threads; blocks until all have stopped."""
        server, self._server = self._server, None
        for socket in tuple(self._sockets):
            self._cut(socket)
        # Freeing it before it has noticed would wait for it with the interpreter lock held.
        time.sleep(max(0.0, self._noticed_at - time.monotonic()))
        del server

    @property
    def slots(self) -> SlotScheduler:
        """The scheduler of this event loop: nothing is queued inside llama.cpp, which has another order."""
        loop = asyncio.get_running_loop()
        if loop not in self._slots:
            self._slots[loop] = SlotScheduler(self.config.slots)
        return self._slots[loop]

    async def post(self, path: str, body: Mapping[str, Any], answer: type[T]) -> T:
        """The JSON reply to one call. Cancelling closes the connection; the work stops within a second.

        Raises `EngineError` where llama.cpp refused the call, or was closed meanwhile.
        """
        payload = await self._answer(path, body, None)
        try:
            return msgspec.json.decode(payload, type=answer)
        except msgspec.DecodeError as e:
            raise EngineProtocolError(f"llama.cpp gave no valid reply to {path}: {e}") from None

    async def stream(self, path: str, body: Mapping[str, Any], take: Callable[[bytes], object]) -> None:
        """Passes the data of each event of the reply to `take`. Raises as `post` does."""
        await self._answer(path, body, take)
        if self.is_closed:
            raise EngineError("the engine was closed during the reply")

    async def _answer(
        self, path: str, body: Mapping[str, Any], take: Callable[[bytes], object] | None
    ) -> bytes:
        data = msgspec.json.encode(body)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        )
        try:
            raw = await self._exchange(head.encode() + data, take)
        except OSError as e:
            raise UnreachableError(f"llama.cpp in this process does not answer: {e}") from None
        _, _, payload = raw.partition(b"\r\n\r\n")
        if self.is_closed and not payload:
            raise EngineError("the engine was closed before it replied")
        if b'"error"' in payload[:20]:
            raise _call_error(payload)
        return payload

    async def _exchange(self, data: bytes, take: Callable[[bytes], object] | None) -> bytes:
        if self.is_closed:
            return b""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=_LONGEST_LINE)
        socket = writer.get_extra_info("socket")
        self._sockets.add(socket)
        raw = b""
        try:
            writer.write(data)
            if take is None:
                raw = await reader.read()
            else:
                raw = await _read_events(reader, take)
        finally:
            if not raw:
                self._cut(socket)
            self._sockets.discard(socket)
            writer.transport.abort()
        return raw

    def _cut(self, socket: Any) -> None:
        self._noticed_at = time.monotonic() + _POLL_S
        with contextlib.suppress(OSError):
            socket.shutdown(SHUT_RDWR)


async def _read_events(reader: asyncio.StreamReader, take: Callable[[bytes], object]) -> bytes:
    """Passes the data of events, each of which is a line, to `take`; returns the other lines."""
    rest = b""
    async for line in reader:
        if line.startswith(b"data: "):
            take(line[6:])
        elif len(rest) < _LONGEST_LINE:
            rest += line
    return rest


def _call_error(payload: bytes) -> EngineError:
    error = msgspec.json.decode(payload, type=_ErrorReply).error
    if error.type == "exceed_context_size_error":
        return EngineHttpError(
            f"the prompt has {error.n_prompt_tokens} tokens, but a sequence holds {error.n_ctx}:"
            f" raise  context=  of the engine llamacpp, or shorten the prompt",
            status=400,
        )
    return EngineError(f"llama.cpp refused the call: {error.message}")


class _Error(msgspec.Struct):
    message: str = ""
    type: str = ""
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None


class _ErrorReply(msgspec.Struct):
    error: _Error


_starting = threading.Lock()


def _start(config: ServerConfig, key: str) -> Any:
    """The only place that touches xllamacpp, which has no types."""
    try:
        x: Any = importlib.import_module("xllamacpp")
    except ImportError as e:  # a missing libgomp.so.1 is one
        raise CapabilityError(
            f"llama.cpp cannot be loaded ({e}): pip install xllamacpp, apt install libgomp1"
        ) from None
    params = x.CommonParams()
    params.model.path = str(config.path)
    params.n_parallel = config.slots + config.spare
    params.n_ctx = params.n_parallel * config.context
    params.n_gpu_layers = config.gpu_layers
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config.threads
    params.n_threads_http = config.slots + 2  # every slot may be waited for, and templates still pass
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_metrics = True  # asked once, below
    params.cache_ram_mib = 0  # keeps memory flat
    params.verbosity = -1
    params.warmup = False
    if is_small(config.path):  # a mapped file that is overwritten ends the process
        params.load_mode = x.llama_load_mode.LLAMA_LOAD_MODE_NONE
    try:
        with _starting:
            server = x.Server(params)
    except RuntimeError as e:
        raise InputError(
            f"{config.path}: llama.cpp cannot load this model ({str(e).splitlines()[0]})"
        ) from None
    # The thread that draws may begin later than this one goes on, and a server that is freed before it has
    # begun never ends. This question passes through its queue.
    server.handle_metrics()
    return server
