"""`nbest serve`: starts a gateway, reads its configuration again on SIGHUP, and ends it in order."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

from aiohttp import web

from nbest import registry
from nbest.errors import EngineError, InputError, NbestError
from nbest.serve.app import Service
from nbest.serve.gateway import Gateway
from nbest.serve.observability.sinks import ObservabilityHub
from nbest.serve.observability.tracing import tracing
from nbest.settings.gateway import ServeSettings, read

log = logging.getLogger("nbest.serve")
_ASK_AGAIN_S = 2.0


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
        self._reading = asyncio.Lock()
        """The last signal's configuration is the one that stands, however long an earlier one's engine takes."""
        self._background: set[asyncio.Task[object]] = set()

    async def run(self) -> None:
        gateway = Gateway(self._settings)
        traces = tracing()
        service = Service(gateway, is_public=self._insecure, tracing=traces)
        telling = ObservabilityHub(service, config=gateway.config)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._do(self._reload(service, telling)))
        serve = self._settings.serve
        runner = web.AppRunner(
            service.app(), handler_cancellation=True, access_log=None, shutdown_timeout=1.0
        )
        await runner.setup()
        try:
            await self._listen(runner, gateway)
            await self._meet(service)
            if not self._stop.is_set():
                self._announce(runner, service)
            await self._stop.wait()
            log.info("stopping: %d requests under way", service.admission.num_at_work)
            if left := await service.admission.drain(serve.drain_s):
                log.warning("%d requests were not done within %g s", left, serve.drain_s)
        finally:
            await runner.cleanup()
            await service.gateway.aclose()
            for task in self._background:
                task.cancel()
            await asyncio.to_thread(telling.close)
            if traces:
                await asyncio.to_thread(traces.close)

    async def _listen(self, runner: web.AppRunner, gateway: Gateway) -> None:
        serve = gateway.settings.serve
        try:
            await web.TCPSite(runner, serve.host, serve.port, backlog=1024).start()
        except (OSError, socket.gaierror) as e:
            raise InputError(
                f"cannot listen on {serve.host}:{serve.port} ({e.strerror or e}): choose another --port or --host"
            ) from None

    async def _meet(self, service: Service) -> None:
        """Asks the engine what it can do, again and again while it may yet answer: servers load for minutes."""
        while not self._stop.is_set():
            try:
                await service.gateway.start()
            except EngineError as e:
                if not e.is_transient:
                    raise
                log.warning("%s; asking again every %g s", e, _ASK_AGAIN_S)
                try:
                    await asyncio.wait_for(self._stop.wait(), _ASK_AGAIN_S)
                except TimeoutError:
                    continue
            else:
                service.is_ready = True
                return

    def _announce(self, runner: web.AppRunner, service: Service) -> None:
        """One line for people; logs are for machines."""
        host, port = runner.addresses[0][:2]
        base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        strategy = registry.spec_of(service.gateway.default)
        page = f", page at {base}/ui" if service.gateway.settings.serve.ui else ""
        print(
            f"nbest answers at {base}/v1 as {', '.join(service.gateway.models)} with {strategy}{page}",
            file=sys.stderr,
            flush=True,
        )

    async def _reload(self, service: Service, telling: ObservabilityHub) -> None:
        """Reads the configuration again; where it is wrong, the old one stands.

        So it does while no engine answers, but for keys and limits: whose key is withdrawn is out at once.
        """
        async with self._reading:
            gateway = None
            try:
                listens_at = self._settings.serve.host
                settings = read(self._file, self._flags, insecure=self._insecure, listens_at=listens_at)
                gateway = Gateway(settings)
                await gateway.start()
            except NbestError as e:
                if gateway:
                    await gateway.aclose()
                if gateway and isinstance(e, EngineError) and e.is_transient:
                    service.admit(gateway.settings.serve)
                    log.warning("keys and limits are the new ones, all else stays as it was: %s", e)
                else:
                    log.error("the configuration stays as it was: %s", e)  # noqa: TRY400 (a user's mistake)
                return
            old = service.gateway
            service.use(gateway)
            telling.use(gateway)
            service.is_ready = True
            log.info("the configuration was read again")
        await old.retire()

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
