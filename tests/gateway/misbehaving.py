"""A server that misbehaves on purpose, a gateway before it in this process, and what came of a request."""

import asyncio
import contextlib
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientSession, web

from nbest.errors import EngineTimeoutError
from nbest.records import read_outcomes
from nbest.serve.app import make_app
from nbest.serve.gateway import Gateway
from nbest.serve.observability.hub import ObservabilityHub
from nbest.serve.service import Service
from nbest.settings.gateway import Serve, ServeSettings
from upstream import Upstream

ASK = {"model": "m", "messages": [{"role": "user", "content": "2足す2は？"}]}
RIGHT = "四 です"
LONG_WAIT_S = 30
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A disk may be busy for seconds, which is not what is tested."""


@dataclass
class Misbehaving(Upstream):
    """More faults than any one server has. It says `RIGHT`, and goes wrong as it is told to."""

    texts: tuple = (RIGHT,)
    slow_s: float = 0.0
    """How long `_fault_slow` takes before it answers well."""
    is_loading: int = 0
    """How many times more it says so, in the words of llama.cpp's server."""
    hangs_s: list = field(default_factory=list)
    """Before GET /models is answered, one for each time from the last."""

    async def stop(self):
        """Breaks off whatever is under way."""
        await self._runner.cleanup()

    async def start_again(self):
        """At the same address."""
        port, self.port = self.port, None
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._generate)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port = port

    async def _models(self, request):
        await asyncio.sleep(self.hangs_s.pop() if self.hangs_s else 0)
        if self.is_loading:
            self.is_loading -= 1
            return web.json_response({"error": {"message": "Loading model", "code": 503}}, status=503)
        return await super()._models(request)

    async def _fault_busy_long(self, request):
        headers = {"Retry-After": str(LONG_WAIT_S)}
        return web.json_response({"error": {"message": "満員です"}}, status=429, headers=headers)

    async def _fault_unauthorised(self, request):
        return web.json_response({"error": {"message": "no such key"}}, status=401)

    async def _fault_too_long(self, request):
        return web.json_response({"error": {"message": "السؤال أطول من السياق"}}, status=400)

    async def _fault_named_otherwise(self, request):
        """A right answer under a wrong content type."""
        answer = self._answer(await request.json(), is_chat=True)
        return web.Response(text=json.dumps(answer), content_type="text/html")

    async def _fault_events_unasked(self, request):
        """A stream where none was asked for."""
        return await self._stream(request, self._events(await request.json()))

    async def _fault_bytes(self, request):
        return web.Response(body=b"\xff\xfe\x00{", content_type="application/json")

    async def _fault_cut(self, request):
        """The server's own limit ends the text."""
        answer = self._answer(await request.json(), is_chat=True)
        for choice in answer["choices"]:
            choice["message"]["content"], choice["finish_reason"] = RIGHT[:1], "length"
        return web.json_response(answer)

    async def _fault_slow(self, request):
        await asyncio.sleep(self.slow_s)
        return web.json_response(self._answer(await request.json(), is_chat=True))

    async def _fault_mid_trickle(self, request):
        """Signs of life for ever, and no more text."""
        reply = await self._broken(request)
        while True:
            await reply.write(b": still here\n\n")
            await asyncio.sleep(0.02)


@dataclass(kw_only=True)
class Got:
    """What a client got, and what is left of it elsewhere."""

    status: int
    seconds: float
    text: str = ""
    finish: str | None = None
    error: dict | None = None
    """`error` of the body, or of the stream."""
    retry_after: str | None = None
    nbest: dict = field(default_factory=dict)
    is_stream: bool = False
    has_ended: bool = True
    """Whether a stream came to its proper end."""
    recorded: list = field(default_factory=list)
    """Outcomes on disk, once the gateway is closed."""

    @property
    def stopped(self):
        return self.nbest.get("stopped")

    @property
    def num_failed(self):
        return self.nbest.get("num_failed")


class Client:
    """Of one gateway in this process."""

    def __init__(self, session, base, service, hub, record):
        self.session, self.base, self.service = session, base, service
        self.hub, self.record = hub, record

    async def ask(self, *, stream=False, headers=None, **body):
        started = time.monotonic()
        body = {**ASK, **body, "stream": stream}
        async with self.session.post(self.base + "/v1/chat/completions", json=body, headers=headers) as reply:
            raw = (await reply.read()).decode()
            is_stream = reply.content_type == "text/event-stream"
            got = _streamed(raw) if is_stream else _whole(raw)
            retry_after = reply.headers.get("Retry-After")
            return Got(
                status=reply.status,
                seconds=time.monotonic() - started,
                retry_after=retry_after,
                is_stream=is_stream,
                **got,
            )

    async def healthy(self, num=3):
        """Seconds that `num` healthy requests take, one after another; the median."""
        took = []
        for _ in range(num):
            got = await self.ask()
            assert (got.status, got.text) == (200, RIGHT), got
            took.append(got.seconds)
        return sorted(took)[num // 2]

    async def get(self, path):
        async with self.session.get(self.base + path) as reply:
            return reply.status, (await reply.read()).decode()

    def num_at_work(self):
        return self.service.admission.num_at_work

    async def recorded(self):
        """Outcomes on disk; nothing more is recorded."""
        await asyncio.to_thread(self.hub.close)
        return await asyncio.to_thread(self._read)

    def _read(self):
        return [o for run in sorted(Path(self.record).iterdir()) for o in read_outcomes(run)]


def _whole(raw):
    reply = json.loads(raw)
    if "error" in reply:
        return {"error": reply["error"]}
    (choice,) = reply["choices"]
    return {
        "text": choice["message"]["content"],
        "finish": choice["finish_reason"],
        "nbest": reply["nbest"],
    }


def _streamed(raw):
    data = [e.removeprefix("data: ") for e in raw.split("\n\n") if e.startswith("data: ")]
    chunks = [json.loads(d) for d in data if d != "[DONE]"]
    choices = [c["choices"][0] for c in chunks if c.get("choices")]
    return {
        "text": "".join(c["delta"].get("content") or "" for c in choices),
        "finish": next((c["finish_reason"] for c in choices if c.get("finish_reason")), None),
        "error": next((c["error"] for c in chunks if "error" in c), None),
        "nbest": next((c["nbest"] for c in chunks if "nbest" in c), {}),
        "has_ended": data[-1:] == ["[DONE]"],
    }


async def _started(gateway, tries=5):
    """However long the machine stalls."""
    for _ in range(tries):
        with contextlib.suppress(EngineTimeoutError):
            return await gateway.start()
    return await gateway.start()


@contextlib.asynccontextmanager
async def serving(engine, strategy, *, serve=None, record=None, **settings):
    """A client of a gateway with all that `nbest serve` has, but a process of its own."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        record = record or str(Path(folder) / "record")
        told = Serve(**{"record": record, **(serve or {})})
        gateway = Gateway(ServeSettings(engine=engine, strategy=strategy, serve=told, **settings))
        await _started(gateway)
        service = Service(gateway)
        service.is_ready = True
        hub = ObservabilityHub(service, config=gateway.config)
        runner = web.AppRunner(
            make_app(service), handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        try:
            async with ClientSession() as session:
                yield Client(session, f"http://{host}:{port}", service, hub, record)
        finally:
            await runner.cleanup()
            await gateway.aclose()
            await asyncio.to_thread(hub.close)
