"""`nbest serve`: starts a gateway, reads its configuration again on SIGHUP, and stops it in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from nbest import registry
from nbest.errors import EngineError, InputError, NbestError
from nbest.serve import descriptors
from nbest.serve.app import make_app
from nbest.serve.forced_end import ForcedEnd
from nbest.serve.gateway import Gateway
from nbest.serve.listener import Listener
from nbest.serve.observability.hub import ObservabilityHub
from nbest.serve.observability.tracing import tracing
from nbest.serve.service import Service
from nbest.serve.worker_warmup import warm_up
from nbest.settings.gateway import ServeSettings, read

log = logging.getLogger("nbest.serve")
_RETRY_S = 2.0
_SETTLE_S = 0.25
"""A file that did not change for so long is taken as written to its end."""
_MAX_SETTLES = 40
END_MARK = "# end"
"""The last line of a file that is known to be whole."""
_CLOSING_S = 15.0
"""After `drain_s`, for the last bytes of replies, logs and records; then the process is ended by force."""
_ALLOCATIONS_A_COLLECTION = 10_000
_COLLECT_S = 2.0
_LAST_S = 2.0
"""For threads that hang, once everything else has ended."""


def serve(file: str | None, flags: Mapping[str, Any], *, insecure: bool = False) -> None:
    """Runs until SIGTERM or Ctrl-C. Raises `NbestError` for a configuration that cannot work."""
    settings = read(file, flags, insecure=insecure)
    asyncio.run(_Server(settings, file, flags, insecure=insecure).run())


async def _collect_garbage() -> None:
    """Collects garbage every `_COLLECT_S`, and hardly ever in between: that took a tenth of a request's CPU time.

    What was imported is left out for good; the rest takes a few milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_A_COLLECTION, 10, 10)
    while True:
        await asyncio.sleep(_COLLECT_S)
        gc.collect()


class _Server:
    def __init__(
        self, settings: ServeSettings, file: str | None, flags: Mapping[str, Any], *, insecure: bool
    ) -> None:
        self._settings = settings
        self._file, self._flags, self._insecure = file, flags, insecure
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        """So that the last signal's configuration stands, however long an earlier one's engine takes."""
        self._tasks: set[asyncio.Task[object]] = set()
        self._forced_end: ForcedEnd | None = None

    async def run(self) -> None:
        max_connections = descriptors.max_connections(descriptors.raise_limit())
        gateway = Gateway(self._settings)
        traces = tracing()
        service = Service(gateway, is_public=self._insecure, tracing=traces, max_connections=max_connections)
        hub = ObservabilityHub(service, config=gateway.config)
        self._forced_end = ForcedEnd()
        self._handle_signals(service, hub)
        runner = web.AppRunner(
            make_app(service), handler_cancellation=True, access_log=None, shutdown_timeout=1.0
        )
        await runner.setup()
        assert runner.server
        listener = Listener(
            runner.server, max_connections=max_connections, at_work=service.connections_at_work
        )
        try:
            address = await self._listen(listener)
            self._spawn(_collect_garbage())
            self._spawn(hub.lag.watch())
            self._spawn(warm_up())
            await self._until_stopped(self._wait_for_engine(service))
            if not self._stop.is_set():
                self._announce(address, service)
            await self._stop.wait()
            await self._drain(service)
        finally:
            listener.close()
            for task in self._tasks:
                task.cancel()
            await runner.cleanup()
            await service.gateway.aclose()
            await service.allowances.aclose()
            await asyncio.to_thread(hub.close)
            if traces:
                await asyncio.to_thread(traces.close)
            self._forced_end.within(_LAST_S, exit_code=0)

    def _handle_signals(self, service: Service, hub: ObservabilityHub) -> None:
        loop = asyncio.get_running_loop()

        def stop(*_: object) -> None:
            """A handler of the interpreter's own, which runs though the event loop be stuck."""
            assert self._forced_end
            self._forced_end.within(self._settings.serve.drain_s + _CLOSING_S, exit_code=1)
            loop.call_soon_threadsafe(self._stop.set)

        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload(service, hub)))

    async def _listen(self, listener: Listener) -> tuple[str, int]:
        host, port = self._settings.serve.host, self._settings.serve.port
        try:
            return await listener.start(host, port)
        except (OSError, socket.gaierror) as e:
            problem = e.strerror or str(e)
            raise InputError(
                f"cannot listen on {host}:{port} ({problem}): choose another host or port"
            ) from None

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Does the work, unless the gateway is to stop first. Raises what the work raises."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            working.result()
        else:
            working.cancel()

    async def _wait_for_engine(self, service: Service) -> None:
        """Starts the gateway's engines, again and again while they may yet answer: servers load for minutes."""
        while not self._stop.is_set():
            try:
                await service.gateway.start()
            except EngineError as e:
                if not e.is_transient:
                    raise
                log.warning("%s; trying again every %g s", e, _RETRY_S)
                try:
                    await asyncio.wait_for(self._stop.wait(), _RETRY_S)
                except TimeoutError:
                    continue
            else:
                service.is_ready = True
                return

    def _announce(self, address: tuple[str, int], service: Service) -> None:
        """One line for people; logs are for machines."""
        gateway = service.gateway
        host, port = address
        shown = f"[{host}]" if ":" in host else host
        base = f"http://{shown}:{port}"
        models = ", ".join(gateway.upstreams.models)
        strategy = registry.spec_of(gateway.strategies.default)
        page = f", page at {base}/ui" if gateway.settings.serve.ui else ""
        print(f"nbest answers at {base}/v1 as {models} with {strategy}{page}", file=sys.stderr, flush=True)

    async def _drain(self, service: Service) -> None:
        grace_s = self._settings.serve.drain_s
        log.info("stopping: %d requests under way", service.admission.num_at_work)
        num_left = await service.admission.drain(grace_s)
        if num_left:
            log.warning("%d requests were not done within %g s", num_left, grace_s)

    async def _reload(self, service: Service, hub: ObservabilityHub) -> None:
        """Reads the configuration again; where it is wrong, the old one stays.

        It also stays while no engine answers, but for keys and limits: a withdrawn key is refused at once.
        """
        async with self._reloading:
            gateway = await self._new_gateway(service)
            if gateway is None:
                return
            old = service.gateway
            service.use(gateway)
            hub.use(gateway)
            service.is_ready = True
            log.info("the configuration was read again")
        await old.retire()

    async def _new_gateway(self, service: Service) -> Gateway | None:
        """A started gateway of today's configuration; None where it cannot be used now."""
        gateway = None
        try:
            settings = await self._new_settings(service.gateway.settings)
            gateway = await asyncio.to_thread(Gateway, settings)  # which may read files
            await gateway.start()
        except NbestError as e:
            may_answer_later = isinstance(e, EngineError) and e.is_transient
            if gateway:
                await gateway.aclose()
            if gateway and may_answer_later:
                service.apply_limits(gateway.settings.serve)
                log.warning("keys and limits are the new ones, all else stays as it was: %s", e)
            else:
                log.error("the configuration stays as it was: %s", e)  # noqa: TRY400 (a user's mistake)
            return None
        return gateway

    async def _new_settings(self, old: ServeSettings) -> ServeSettings:
        """The configuration as it is now. Raises `InputError` for one that was not meant to be used like that.

        That is an empty file, and one that may be cut: such as it is between an editor's truncating and writing
        it, and for ever on a disk that was full.
        """
        if self._file is not None:
            await _settled(self._file)
        settings, text = await asyncio.to_thread(self._read)
        if self._file is not None:
            self._check_keys(settings, old, is_whole=_is_marked(text))
        return settings

    def _read(self) -> tuple[ServeSettings, str]:
        """The settings, and the text of the file."""
        version = None if self._file is None else _version(self._file)
        settings = read(
            self._file, self._flags, insecure=self._insecure, listens_at=self._settings.serve.host
        )
        text = ""
        if self._file is not None:
            text = Path(self._file).read_text(encoding="utf-8", errors="replace")
            if not text.strip():
                raise InputError(f"{self._file} is empty")
            if _version(self._file) != version:
                raise InputError(f"{self._file} was written to while it was read: send SIGHUP again")
        return settings, text

    def _check_keys(self, new: ServeSettings, old: ServeSettings, *, is_whole: bool) -> None:
        """Raises `InputError` where keys are gone, all of them or without a sign that it is on purpose.

        A file that is cut between two tables is valid, and lacks the keys behind the cut.
        """
        if old.serve.keys and not new.serve.keys:
            raise InputError(
                f"{self._file} has no keys any more: a gateway with keys goes on without any after a restart only"
            )
        gone = _gone(old, new)
        if gone and not is_whole:
            raise InputError(
                f"{self._file} lacks the keys {', '.join(gone)}, and may be cut: if it is whole, make its last line"
                f"  {END_MARK}  to withdraw them"
            )

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _settled(file: str) -> None:
    """Waits until nobody writes to the file any more, for at most ten seconds. A missing file is not waited for."""
    for _ in range(_MAX_SETTLES):
        before = await asyncio.to_thread(_version, file)
        await asyncio.sleep(_SETTLE_S)
        if await asyncio.to_thread(_version, file) == before:
            return


def _version(file: str) -> tuple[int, int] | None:
    """Size and time of the last change; None where there is no file."""
    try:
        stat = Path(file).stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _is_marked(text: str) -> bool:
    """Whether the last line says that the file is whole."""
    last_lines = text.rstrip().splitlines()[-1:]
    return [line.strip() for line in last_lines] == [END_MARK]


def _gone(old: ServeSettings, new: ServeSettings) -> Collection[str]:
    """Names of keys that were there and are not any more."""
    kept = {key.sha256 for key in new.serve.keys}
    return [repr(key.name) for key in old.serve.keys if key.sha256 not in kept]
