"""`nbest serve`: starts a gateway, reads its configuration again on SIGHUP, and stops it in order."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from nbest import registry
from nbest.errors import EngineError, InputError, NbestError
from nbest.serve.app import make_app
from nbest.serve.gateway import Gateway
from nbest.serve.observability.hub import ObservabilityHub
from nbest.serve.observability.tracing import tracing
from nbest.serve.service import Service
from nbest.settings.gateway import ServeSettings, read

log = logging.getLogger("nbest.serve")
_RETRY_S = 2.0
_SETTLE_S = 0.25
"""A file that did not change for so long is taken as written to its end."""
_MAX_SETTLES = 40


def serve(file: str | None, flags: Mapping[str, Any], *, insecure: bool = False) -> None:
    """Runs until SIGTERM or Ctrl-C. Raises `NbestError` for a configuration that cannot work."""
    settings = read(file, flags, insecure=insecure)
    asyncio.run(_Server(settings, file, flags, insecure=insecure).run())


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

    async def run(self) -> None:
        gateway = Gateway(self._settings)
        traces = tracing()
        service = Service(gateway, is_public=self._insecure, tracing=traces)
        hub = ObservabilityHub(service, config=gateway.config)
        self._handle_signals(service, hub)
        runner = web.AppRunner(
            make_app(service), handler_cancellation=True, access_log=None, shutdown_timeout=1.0
        )
        await runner.setup()
        try:
            await self._listen(runner)
            await self._wait_for_engine(service)
            if not self._stop.is_set():
                self._announce(runner, service)
            await self._stop.wait()
            await self._drain(service)
        finally:
            await runner.cleanup()
            await service.gateway.aclose()
            for task in self._tasks:
                task.cancel()
            await asyncio.to_thread(hub.close)
            if traces:
                await asyncio.to_thread(traces.close)

    def _handle_signals(self, service: Service, hub: ObservabilityHub) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload(service, hub)))

    async def _listen(self, runner: web.AppRunner) -> None:
        host, port = self._settings.serve.host, self._settings.serve.port
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
        except (OSError, socket.gaierror) as e:
            problem = e.strerror or str(e)
            raise InputError(
                f"cannot listen on {host}:{port} ({problem}): choose another host or port"
            ) from None

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

    def _announce(self, runner: web.AppRunner, service: Service) -> None:
        """One line for people; logs are for machines."""
        gateway = service.gateway
        host, port = runner.addresses[0][:2]
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
            gateway = Gateway(settings)
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

        That is an empty file, as it is between an editor's truncating and writing it, and one without keys
        where there were some: only a restart opens a gateway to everybody.
        """
        if self._file is not None:
            await _settled(self._file)
        settings = await asyncio.to_thread(self._read)
        if old.serve.keys and not settings.serve.keys:
            raise InputError(
                f"{self._file} has no keys any more: a gateway with keys goes on without any after a restart only"
            )
        return settings

    def _read(self) -> ServeSettings:
        settings = read(
            self._file, self._flags, insecure=self._insecure, listens_at=self._settings.serve.host
        )
        if self._file is not None and not Path(self._file).read_bytes().strip():
            raise InputError(f"{self._file} is empty")
        return settings

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _settled(file: str) -> None:
    """Waits until nobody writes to the file any more, for at most ten seconds. A missing file is not waited for."""
    for _ in range(_MAX_SETTLES):
        before = _version(file)
        await asyncio.sleep(_SETTLE_S)
        if _version(file) == before:
            return


def _version(file: str) -> tuple[int, int] | None:
    """Size and time of the last change; None where there is no file."""
    try:
        stat = Path(file).stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
