"""A server that says to the page what the gateway may say, at a pace and in an order that tests decide."""

import asyncio
from contextlib import asynccontextmanager

from aiohttp import web

from nbest.serve.api.chat_request import read_chat
from nbest.serve.api.chat_stream import ChatWriter
from nbest.serve.api.reply import Choice, Reply, error_reply
from nbest.serve.playground import playground
from nbest.types import Usage

KEY = "sk-test"
MODELS = [
    {"id": "small", "nbest": {"strategy": "parallel"}},
    {"id": "small@careful", "nbest": {"strategy": "parallel(selector=chops)", "preset": "careful"}},
]


def candidate(text, **more):
    return {
        "id": None,
        "text": text,
        "finish": "stop",
        "language": None,
        "error": None,
        "engine": "mini",
        "params": {"temperature": 0.7, "seed": None},
        "usage": {"completion": len(text)},
        **more,
    }


class StandIn:
    """`script(ask, say)` is awaited for every chat request; what it says is sent as it says it."""

    def __init__(self):
        self.asked = []
        self.bodies = []
        self.key = None
        self.script = None
        self.was_cancelled = asyncio.Event()

    async def ui(self, request):
        return web.Response(body=playground.html().encode(), headers=playground.headers())

    async def models(self, request):
        return self._refusal(request) or web.json_response({"object": "list", "data": MODELS})

    async def chat(self, request):
        if refusal := self._refusal(request):
            return refusal
        raw = await request.read()
        ask = read_chat(raw)
        self.asked.append(ask)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        say = Say(response, ask)
        try:
            await self.script(ask, say, request)
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise
        except web.HTTPException as refused:
            return web.json_response(
                error_reply(refused.text), status=refused.status, headers={"Retry-After": "7"}
            )
        return response

    def _refusal(self, request):
        if self.key is None or request.headers.get("Authorization") == f"Bearer {self.key}":
            return None
        return web.json_response(error_reply("no such key", code="invalid_api_key"), status=401)


class Say:
    """The gateway's own writer, onto one response."""

    def __init__(self, response, ask):
        self._response = response
        self._writer = ChatWriter(
            id="chatcmpl-1",
            model=ask.model,
            created=0,
            include_usage=ask.include_usage,
            progress=ask.nbest.progress,
        )
        self._model = ask.model
        self._text = ""
        self._drawn = 0

    async def start(self, request):
        await self._response.prepare(request)
        await self.raw(self._writer.start())

    async def raw(self, data):
        await self._response.write(data)

    async def candidate(self, said, role="policy"):
        self._drawn += 1
        event = {"event": "candidate", "candidate": said, "drawn": self._drawn, "role": role}
        await self.raw(self._writer.event(event))

    async def called(self, role):
        await self.raw(self._writer.event({"event": "call", "role": role, "drawn": self._drawn}))

    async def text(self, delta):
        self._text += delta
        await self.raw(self._writer.text(delta))

    async def finish(self, text, **nbest):
        reply = Reply(
            id="chatcmpl-1",
            model=self._model,
            created=0,
            choices=(Choice(text=text),),
            usage=Usage(prompt=9, completion=9, calls=2),
            nbest={"strategy": "parallel", "stopped": "done", "seconds": 1.25, "notes": [], **nbest},
        )
        await self.raw(self._writer.finish(reply, emitted=self._text))

    async def error(self, message):
        await self.raw(self._writer.error(message))


@asynccontextmanager
async def served():
    """A stand-in and the address of its page."""
    standin = StandIn()
    app = web.Application()
    app.add_routes(
        [
            web.get("/ui", standin.ui),
            web.get("/v1/models", standin.models),
            web.post("/v1/chat/completions", standin.chat),
        ]
    )
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield standin, f"http://127.0.0.1:{runner.addresses[0][1]}/ui"
    finally:
        await runner.cleanup()
