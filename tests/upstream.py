"""A real OpenAI-compatible server on a random local port, that misbehaves on demand."""

import asyncio
import json
import re
from collections import deque
from dataclasses import dataclass, field
from itertools import zip_longest
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
    takes_only: dict[str, Any] = field(default_factory=dict)
    """Field → the one value that is no 400, in OpenAI's words."""
    continues: str = "flags"
    """flags (like vLLM), trailing, never: how a prefix is continued."""
    is_echoing: bool = False
    has_usage: bool = True
    calls: tuple[dict[str, str], ...] = ()
    """Name and arguments of functions that every reply calls, with its text as null."""
    reasoning: str | None = None
    reasoning_name: str = "reasoning_content"
    """vLLM: reasoning."""
    refused_in_turns: tuple[str, ...] = ()
    """Keys of messages that are a 400."""
    streams: str = "events"
    """events (server-sent), or ignored: the reply comes in one piece."""
    fragment: int | None = None
    """Bytes of a stream that are sent at once; None: an event at a time."""
    pause_s: float = 0.0
    """After each piece of a stream."""
    newline: str = "\n"
    has_done: bool = True
    key: str | None = None
    has_models: bool = True
    models_status: int | None = None
    """The error that GET /models is answered with."""
    redirect_to: str | None = None
    faults: deque = field(default_factory=deque)
    """One for each call to come; None is no fault. Names of methods `_fault_*`."""
    fault_by_seed: dict[int, str] = field(default_factory=dict)
    fault: str | None = None
    """Of every call."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)
    """X-Request-Id of each call."""
    num_model_calls: int = 0
    num_cancelled: int = 0
    drawn: int = 0
    _served: set = field(default_factory=set)

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
        if self.models_status:
            return error_reply(self.models_status, "starting")
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
        self.ids.append(request.headers.get("X-Request-Id"))
        self.keys.append(request.headers.get("Authorization"))
        if self.redirect_to:
            return web.Response(status=307, headers={"Location": self.redirect_to + request.path})
        if refused := self._unauthorised(request) or self._refusal(body):
            return refused
        fault = self.faults.popleft() if self.faults else self.fault_by_seed.get(body.get("seed"), self.fault)
        try:
            if fault:
                return await getattr(self, f"_fault_{fault}")(request)
            if self._is_stream(body):
                return await self._stream(request, self._events(body))
        except (asyncio.CancelledError, ConnectionResetError):
            self.num_cancelled += 1
            raise
        return web.json_response(self._answer(body, is_chat="messages" in body))

    def _is_stream(self, body):
        return body.get("stream") is True and self.streams == "events"

    async def _stream(self, request, events, *, is_whole=True):
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        parts = [e.replace("\n", self.newline).encode() for e in events]
        if size := self.fragment:
            raw = b"".join(parts)
            parts = [raw[i : i + size] for i in range(0, len(raw), size)]
        for piece in parts:
            await reply.write(piece)
            await asyncio.sleep(self.pause_s)
        if is_whole:
            await reply.write_eof()
        return reply

    def _events(self, body):
        """The reply to `body` as server-sent events: what is said in one piece, token by token.

        Several choices take turns, the last one first. llama.cpp counts each choice when it ends, others all at once.
        """
        is_chat = "messages" in body
        whole = self._answer(body, is_chat=is_chat)
        is_counted = "usage" in whole and (body.get("stream_options") or {}).get("include_usage")
        each = is_counted and self.owned_by == "llamacpp"
        told = [self._told(c, whole["usage"] if each else None, is_chat=is_chat) for c in whole["choices"]]
        rounds = zip_longest(*reversed(told))
        events = [": keep-alive\n\n", *(e for events in rounds for e in events if e is not None)]
        if is_counted and not each:
            events.append(_event({"choices": [], "usage": whole["usage"]}))
        return [*events, "data: [DONE]\n\n"] if self.has_done else events

    def _told(self, choice, usage, *, is_chat):
        """Events of one choice, the last with its own count where there is a `usage`."""
        events = []

        def chunk(said, **more):
            said = {"delta": said} if is_chat else {"text": said}
            choices = [{"index": choice["index"], **said, **more}]
            return _event({"object": "chat.completion.chunk", "choices": choices})

        message = choice["message"] if is_chat else {"content": choice["text"]}
        if is_chat:
            events.append(chunk({"role": "assistant", "content": None if message["content"] is None else ""}))
        if thought := message.get(self.reasoning_name):
            events += [chunk({self.reasoning_name: word}) for word in thought.split()]
        words = re.findall(r"\s*\S+|\s+\Z", message["content"] or "")
        for i, word in enumerate(words):
            rows = {"logprobs": _part(choice["logprobs"], i)} if "logprobs" in choice else {}
            events.append(chunk({"content": word} if is_chat else word, **rows))
        for i, call in enumerate(message.get("tool_calls") or ()):
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            first = {"index": i, "id": call["id"], "type": "function"}
            events.append(chunk({"tool_calls": [first | {"function": {"name": name, "arguments": ""}}]}))
            events += [chunk({"tool_calls": [{"index": i, "function": {"arguments": c}}]}) for c in arguments]
        ended = {k: choice[k] for k in ("finish_reason", "stop_reason") if k in choice}
        events.append(chunk({} if is_chat else "", **ended))
        if usage:
            own = usage | {"completion_tokens": len(words)}
            events[-1] += _event({"choices": [], "usage": own})
        return events

    def _refusal(self, body):
        for i, message in enumerate(body.get("messages", ())):
            for name in self.refused_in_turns:
                if name in message:
                    said = f"'messages.{i}' : property '{name}' is unsupported"
                    return web.json_response({"error": {"message": said}}, status=400)
        for name, style in self.refuses.items():
            if name in body:
                return _refuse(name, style)
        for name, value in self.takes_only.items():
            if body.get(name, value) != value:
                said = f"Unsupported value: '{name}' does not support {body[name]} with this model."
                return error_reply(400, f"{said} Only the default ({value}) value is supported.", name)
        n = body.get("n", 1)
        if n > 1 and self.n == "refused":
            return error_reply(400, "Only one completion choice is allowed")
        if self.n.isdigit() and n > int(self.n):
            return error_reply(400, f"n must be at most {self.n}, got {n}")
        return None

    def _answer(self, body, *, is_chat):
        n = 1 if self.n == "ignored" else min(body.get("n", 1), self.n_silent_cap or 99)
        choices = [self._choice(body, i, is_chat=is_chat) for i in range(n)]
        num_drawn = sum(len((c.get("text") or c["message"]["content"] or "").split()) for c in choices)
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
            if self.reasoning:
                choice["message"][self.reasoning_name] = self.reasoning
            if self.calls:
                made = [
                    {"id": f"call_{j}", "type": "function", "function": c} for j, c in enumerate(self.calls)
                ]
                choice["message"] |= {"content": None, "tool_calls": made}
                choice["finish_reason"] = "tool_calls"
                tokens = []
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

    async def _fault_hang_up_on_old(self, request):
        """On connections that have served before, as a server does that counts them as idle for too long."""
        if request.protocol in self._served:
            request.transport.abort()
        self._served.add(request.protocol)
        return web.json_response(self._answer(await request.json(), is_chat=True))

    async def _broken(self, request, *events):
        """The first half of a stream, and then `events`."""
        whole = self._events(await request.json())
        return await self._stream(request, [*whole[: len(whole) // 2], *events], is_whole=False)

    async def _fault_mid_reset(self, request):
        await self._broken(request)
        request.transport.abort()

    async def _fault_mid_end(self, request):
        reply = await self._broken(request)
        await reply.write_eof()
        return reply

    async def _fault_mid_hang(self, request):
        await self._broken(request)
        await asyncio.sleep(60)

    async def _fault_mid_error(self, request):
        error = {"error": {"message": "the GPU fell off the bus", "type": "x", "code": 500}}
        return await self._broken(request, _event(error))

    async def _fault_mid_error_event(self, request):
        return await self._broken(request, "event: error\ndata: the GPU fell off the bus\n\n")

    async def _fault_mid_malformed(self, request):
        return await self._broken(request, 'data: {"choices": [{"del\n\n')

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


def _event(data):
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _part(logprobs, i):
    """Those of token i."""
    return {key: rows[i : i + 1] for key, rows in logprobs.items() if rows is not None}


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
