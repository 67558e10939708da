"""A gateway over HTTP in the process of the test, before engines that do what it needs."""

import contextlib
import json
from dataclasses import dataclass, field

from aiohttp import ClientSession, web

from nbest.serve.app import make_app
from nbest.serve.gateway import Gateway
from nbest.serve.service import Service
from nbest.settings.gateway import Serve, ServeSettings
from nbest.types import Completion, Usage
from scripted import Scripted

TURN_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TURN_TOOL = {"type": "function", "function": {"name": "f"}}
QUESTIONS = ("كم 2+2؟", "2加2等于几？", "2+2 कितना है?", "2足す2は？", "Сколько 2+2?", "2+2 เท่ากับเท่าไร")


@dataclass(eq=False, kw_only=True)
class Answers(Scripted):
    """Draw i says `texts[i]`, with the i-th of `calls`, in turn; an exception is raised instead."""

    texts: list = field(default_factory=lambda: ["4"])
    calls: tuple = ()
    reasoning: str | None = None
    finish: str = "stop"

    def say(self, request):
        return [self._draw(i) for i in range(request.n)]

    def _draw(self, i):
        text = self.texts[i % len(self.texts)]
        if isinstance(text, Exception):
            return text
        return Completion(
            text=text,
            finish=self.finish,
            tool_calls=(self.calls[i % len(self.calls)],) if self.calls else (),
            reasoning=self.reasoning and f"{self.reasoning}{i or ''}",
            usage=Usage(prompt=3 * (i == 0), completion=2, calls=i == 0, reasoning=i == 0),
        )


class Client:
    def __init__(self, session, base, service):
        self.session, self.base, self.service = session, base, service

    async def post(self, path="/v1/chat/completions", headers=None, **body):
        body = {"model": "fake", "messages": [{"role": "user", "content": QUESTIONS[0]}], **body}
        async with self.session.post(self.base + path, json=body, headers=headers) as reply:
            return reply.status, reply.headers, json.loads(await reply.read())

    async def stream(self, **body):
        body = {
            "model": "fake",
            "messages": [{"role": "user", "content": QUESTIONS[3]}],
            "stream": True,
            **body,
        }
        async with self.session.post(self.base + "/v1/chat/completions", json=body) as reply:
            assert reply.content_type == "text/event-stream"
            lines = (await reply.read()).decode().split("\n\n")
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        comments = [line for line in lines if line.startswith(":")]
        assert data[-1] == "[DONE]"
        return [json.loads(d) for d in data[:-1]], comments

    async def get(self, path, **how):
        async with self.session.get(self.base + path, **how) as reply:
            return reply.status, reply.headers, await reply.read()


@contextlib.asynccontextmanager
async def serving(engine=None, *, serve=None, contexts=None, **settings):
    how = {"sample": "iid(n=3)", "select": "vote", **settings}
    gateway = Gateway(ServeSettings(engine="fake", serve=serve or Serve(), **how))
    if engine is not None:
        gateway.upstreams.engines["policy"] = engine
    await gateway.start()
    gateway.upstreams.models = ("fake",)
    service = Service(gateway)
    service.is_ready = True
    if contexts is not None:
        service.add_sink(contexts.append)
    runner = web.AppRunner(
        make_app(service), handler_cancellation=True, access_log=None, shutdown_timeout=0.1
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with ClientSession() as session:
            yield Client(session, f"http://{host}:{port}", service)
    finally:
        await runner.cleanup()
