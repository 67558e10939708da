"""A real OpenAI-compatible server on a random local port, that misbehaves on demand."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

LOGPROB = -0.5
HEADER_TOKENS = 3
"""What a turn's header costs; a closed turn and a new header cost it again."""


@dataclass
class Upstream:
    """Answers `texts` in turn. Every field may be changed while it runs."""

    models: tuple[str, ...] = ("m",)
    owned_by: str = "somebody"
    texts: tuple[str, ...] = ("one two", "three", "four five six", "seven")
    n: str = "honoured"
    """honoured, ignored, refused, or a number that caps it with a refusal."""
    n_silent_cap: int | None = None
    logprobs: str = "chat"
    """chat, legacy, absent."""
    refuses: dict[str, str] = field(default_factory=dict)
    """Field → style of the refusal: pydantic, openai, renamed, text."""
    continues: str = "flags"
    """flags (like vLLM), trailing, never: how a prefix is continued."""
    is_echoing: bool = False
    has_usage: bool = True
    key: str | None = None
    has_models: bool = True
    redirect_to: str | None = None
    faults: deque = field(default_factory=deque)
    """One for each call to come; None is no fault. Names of methods `_fault_*`."""
    fault_by_seed: dict[int, str] = field(default_factory=dict)
    fault: str | None = None
    """Of every call."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    num_model_calls: int = 0
    num_cancelled: int = 0
    drawn: int = 0

    async def __aenter__(self):
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._generate)
        app.router.add_post("/v1/completions", self._generate)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def saw(self, what, num):
        """Returns once `what` (a field: a count or a list) has reached `num`."""
        async with asyncio.timeout(5):
            while _count(getattr(self, what)) < num:  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def _models(self, request):
        self.num_model_calls += 1
        self.keys.append(request.headers.get("Authorization"))
        if refused := self._unauthorised(request):
            return refused
        if not self.has_models:
            return web.json_response({"detail": "Not Found"}, status=404)
        await asyncio.sleep(0.01)
        data = [{"id": m, "object": "model", "owned_by": self.owned_by} for m in self.models]
        return web.json_response({"object": "list", "data": data})

    def _unauthorised(self, request):
        given = request.headers.get("Authorization")
        if self.key and given != f"Bearer {self.key}":
            return web.json_response({"error": {"message": f"Incorrect API key: {given}"}}, status=401)
        return None

    async def _generate(self, request):
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers.get("Authorization"))
        if self.redirect_to:
            return web.Response(status=307, headers={"Location": self.redirect_to + request.path})
        if refused := self._unauthorised(request) or self._refusal(body):
            return refused
        fault = self.faults.popleft() if self.faults else self.fault_by_seed.get(body.get("seed"), self.fault)
        if fault:
            try:
                return await getattr(self, f"_fault_{fault}")(request)
            except asyncio.CancelledError:
                self.num_cancelled += 1
                raise
        return web.json_response(self._answer(body, is_chat="messages" in body))

    def _refusal(self, body):
        for name, style in self.refuses.items():
            if name in body:
                return _refuse(name, style)
        n = body.get("n", 1)
        if n > 1 and self.n == "refused":
            return error_reply(400, "Only one completion choice is allowed")
        if self.n.isdigit() and n > int(self.n):
            return error_reply(400, f"n must be at most {self.n}, got {n}")
        return None

    def _answer(self, body, *, is_chat):
        n = 1 if self.n == "ignored" else min(body.get("n", 1), self.n_silent_cap or 99)
        choices = [self._choice(body, i, is_chat=is_chat) for i in range(n)]
        num_drawn = sum(len((c.get("text") or c["message"]["content"]).split()) for c in choices)
        reply: dict[str, Any] = {"id": "x", "object": "chat.completion", "model": "m", "choices": choices}
        if self.has_usage:
            num_prompt = self._num_prompt_tokens(body)
            reply["usage"] = {"prompt_tokens": num_prompt, "completion_tokens": num_drawn}
            reply["usage"]["prompt_tokens_details"] = {"cached_tokens": 1}
        if body.get("prompt_logprobs") is not None:
            words = " ".join(m["content"] for m in body["messages"]).split()
            words = ["<header>"] * HEADER_TOKENS * len(body["messages"]) + words
            entry = [{str(i): {"logprob": -float(i), "decoded_token": w}} for i, w in enumerate(words)]
            reply["prompt_logprobs"] = [None, *entry[1:]]
        return reply

    def _choice(self, body, i, *, is_chat):
        text = self.texts[self.drawn % len(self.texts)]
        self.drawn += 1
        tokens = text.split()
        choice: dict[str, Any] = {"index": i, "finish_reason": "stop"}
        if is_chat:
            last = body["messages"][-1]
            echo = last["content"] if self.is_echoing and last["role"] == "assistant" else ""
            choice["message"] = {"role": "assistant", "content": echo + text}
        else:
            choice["text"] = text
            if body.get("echo"):
                tokens = [*body["prompt"].split(" "), *tokens]
                choice["text"] = body["prompt"] + text
        wanted = body.get("logprobs")
        if wanted is None or wanted is False or self.logprobs == "absent":
            return choice
        if is_chat and self.logprobs == "chat":
            top = [{"token": "a", "logprob": -1.0}][: body.get("top_logprobs") or 0]
            rows = [{"token": t, "logprob": LOGPROB, "bytes": [], "top_logprobs": top} for t in tokens]
            choice["logprobs"] = {"content": rows}
        else:
            offsets = [sum(len(t) + 1 for t in tokens[:j]) for j in range(len(tokens))]
            values = [LOGPROB] * len(tokens)
            top = [{"a": -1.0}] * len(tokens) if body.get("top_logprobs") or wanted > 0 else None
            choice["logprobs"] = {
                "tokens": tokens,
                "token_logprobs": [None, *values[1:]] if body.get("echo") else values,
                "top_logprobs": top,
                "text_offset": offsets,
            }
        return choice

    def _num_prompt_tokens(self, body):
        if "messages" not in body:
            return len(body["prompt"].split())
        *turns, last = body["messages"]
        num = sum(HEADER_TOKENS + len(m["content"].replace("\n", " \n ").split(" ")) for m in (*turns, last))
        is_open = last["role"] == "assistant" and (
            self.continues == "trailing"
            or (self.continues == "flags" and body.get("continue_final_message") is True)
        )
        return num if is_open else num + HEADER_TOKENS

    async def _fault_error500(self, request):
        return error_reply(500, "the GPU fell off the bus")

    async def _fault_busy(self, request):
        return web.json_response(
            {"error": {"message": "too many requests"}}, status=429, headers={"Retry-After": "0.05"}
        )

    async def _fault_hang(self, request):
        await asyncio.sleep(60)

    async def _fault_trickle(self, request):
        reply = web.StreamResponse(headers={"Content-Type": "application/json"})
        await reply.prepare(request)
        while True:
            await reply.write(b" ")
            await asyncio.sleep(0.02)

    async def _fault_reset(self, request):
        reply = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "999"})
        await reply.prepare(request)
        await reply.write(b'{"choices": [')
        request.transport.abort()
        return reply

    async def _fault_hang_up(self, request):
        request.transport.abort()
        return web.Response()

    async def _fault_malformed(self, request):
        return web.Response(text='{"choices": [{"mess', content_type="application/json")

    async def _fault_empty(self, request):
        return web.json_response({"choices": [], "usage": {}})

    async def _fault_null(self, request):
        return web.json_response({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]})

    async def _fault_html(self, request):
        return web.Response(text="<html><body>Welcome to nginx!</body></html>", content_type="text/html")

    async def _fault_error_in_200(self, request):
        return web.json_response({"error": {"message": "upstream provider overloaded", "code": 502}})


def _count(value):
    return value if isinstance(value, int) else len(value)


def error_reply(status, message, param=None):
    return web.json_response({"error": {"message": message, "type": "x", "param": param}}, status=status)


def _refuse(name, style):
    match style:
        case "pydantic":
            problem = {
                "type": "extra_forbidden",
                "loc": ["body", name],
                "msg": "Extra inputs are not permitted",
            }
            return web.json_response({"detail": [{**problem, "input": "seed min_p"}]}, status=422)
        case "openai":
            error = {"message": f"Unrecognized request argument supplied: {name}", "param": name}
            return web.json_response({"error": error}, status=400)
        case "renamed":
            return error_reply(400, f"Unsupported parameter: '{name}'. Use 'max_completion_tokens' instead.")
        case _:
            message = f"Unexpected keys in the request: {{'{name}'}}"
            return web.Response(text=json.dumps({"message": message}), status=400)
