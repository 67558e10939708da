"""The gateway over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import uuid4

import msgspec
from aiohttp import web

from nbest.serve.api.bad_request import BadRequestError, shortened
from nbest.serve.api.routes import APIS, Api
from nbest.serve.api_errors import ApiError
from nbest.serve.gateway import Gateway, unlayered
from nbest.serve.jobs import Job
from nbest.serve.keys import ANYONE, Keys
from nbest.serve.limits import Admission, KeyLimits
from nbest.serve.observability.metrics import CONTENT_TYPE as METRICS_TYPE
from nbest.serve.observability.tracing import RequestSpan, Tracing
from nbest.serve.observer import GatewayObserver
from nbest.serve.streaming import HEADERS, Stream
from nbest.settings.gateway import Key, Serve
from nbest.text.language import identify
from nbest.types import Json, Outcome

log = logging.getLogger("nbest.serve")
_CLOSED_BY_CLIENT = 499
_SHOWING = ("events", "reasoning")
"""What of a stream's progress shows candidates."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """One request, as far as it got: what logs, metrics, records and limits are told."""

    id: str
    endpoint: str
    key: Key = ANYONE
    job: Job | None = None
    outcome: Outcome | None = None
    status: int = 200
    error: BaseException | None = None
    observer: GatewayObserver = field(default_factory=GatewayObserver)
    span: RequestSpan | None = None
    seconds: float = 0.0
    ended: float = 0.0
    """Unix time."""


class Service:
    """A gateway that listens. `gateway` is replaced as a whole when the configuration is read again."""

    def __init__(self, gateway: Gateway, *, is_public: bool = False, tracing: Tracing | None = None) -> None:
        self._tracing = tracing
        self.is_ready = False
        self.limits = KeyLimits()
        serve = gateway.settings.serve
        self.admission = Admission(concurrency=serve.concurrency, queue=serve.queue)
        self._is_public = is_public
        self._told: list[Callable[[RequestContext], object]] = []
        self._exposition: Callable[[], bytes] | None = None
        self.use(gateway)

    def use(self, gateway: Gateway) -> None:
        """Answers with `gateway` from now on; requests under way keep the one they began with."""
        self.gateway = gateway
        self.admit(gateway.settings.serve)

    def admit(self, serve: Serve) -> None:
        """Lets in by these keys and limits from now on."""
        self.keys = Keys(serve.keys)
        self.admission.resize(concurrency=serve.concurrency, queue=serve.queue)

    def tell(self, listener: Callable[[RequestContext], object]) -> None:
        """`listener` hears of every request when it is over."""
        self._told.append(listener)

    def show_metrics(self, exposition: Callable[[], bytes]) -> None:
        """What GET /metrics gives."""
        self._exposition = exposition

    def app(self) -> web.Application:
        @web.middleware
        async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
            return await self._guarded(request, handler)

        app = web.Application(
            client_max_size=self.gateway.settings.serve.max_body_bytes, middlewares=[guarded]
        )
        for path in APIS:
            app.router.add_post(path, self._answer)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{name:.+}", self._models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        if self.gateway.settings.serve.ui:
            app.router.add_get("/ui", self._page)
            app.router.add_get("/", self._to_page)
        return app

    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Errors in OpenAI's shape, whoever found them."""
        try:
            self._check_host(request)
            return await handler(request)
        except ApiError as e:
            return refusal(e)
        except web.HTTPNotFound:
            hint = ": base URLs end in /v1" if f"/v1{request.path}" in APIS else ""
            return refusal(
                ApiError(404, f"there is nothing at {request.method} {shortened(request.path)}{hint}")
            )
        except web.HTTPMethodNotAllowed as e:
            response = refusal(ApiError(405, f"{request.path} takes {', '.join(e.allowed_methods)}"))
            response.headers["Allow"] = e.headers["Allow"]
            return response

    def _check_host(self, request: web.Request) -> None:
        """Without keys, the names of this machine alone: a page of another site may have its name point here."""
        if not (self._is_public or self.gateway.settings.serve.keys or _is_local(request.host)):
            raise ApiError(
                403,
                f"this gateway has no keys and answers this machine alone, not as {request.host!r}: give it"
                " keys, or say --insecure",
            )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        api = APIS[request.path]
        visit = RequestContext(id=f"{api.id_prefix}{uuid4().hex}", endpoint=request.path)
        started = time.monotonic()
        if self._tracing:
            visit.span = self._tracing.start(
                request.path, {name.lower(): value for name, value in request.headers.items()}
            )
        try:
            return await self._visited(request, api, visit)
        except ApiError as e:
            visit.status, visit.error, visit.outcome = e.status, e, e.outcome
            raise
        except (asyncio.CancelledError, ConnectionError) as e:
            visit.status, visit.error = _CLOSED_BY_CLIENT, e
            raise
        except Exception as e:
            visit.status, visit.error = 500, e
            log.exception("request %s failed", visit.id)
            raise ApiError(
                500, f"the gateway failed: its log says why (request {visit.id})", kind="server_error"
            ) from None
        finally:
            visit.seconds, visit.ended = time.monotonic() - started, time.time()
            self.limits.charge(visit.key, visit.observer.num_tokens)
            # Behind the reply, which goes out in this turn of the loop: a thread that wakes up would hold it up.
            asyncio.get_running_loop().call_soon(self._tell_all, visit)

    def _tell_all(self, visit: RequestContext) -> None:
        _end_span(visit)
        for listener in self._told:
            listener(visit)

    async def _visited(self, request: web.Request, api: Api, visit: RequestContext) -> web.StreamResponse:
        visit.key = self.keys.who(request.headers)
        if request.content_type != "application/json":
            raise ApiError(415, "send JSON, with  Content-Type: application/json")
        gateway = self._open(request.path)
        try:
            ask = api.read(await request.read())
        except BadRequestError as e:
            raise ApiError(400, str(e), param=e.param) from None
        except web.HTTPRequestEntityTooLarge as e:
            raise ApiError(413, f"the request is too large: {e.text}") from None
        except web.RequestPayloadError:
            raise ApiError(400, "the request's body is cut, or not encoded as its headers say") from None
        with self.limits.hold(visit.key), gateway.hold():
            job = visit.job = gateway.job(ask, id_=visit.id, key=visit.key)
            if ask.nbest.candidates or ask.nbest.progress in _SHOWING:
                await asyncio.to_thread(identify, "x", min_words=0)  # the first time it loads its model
            async with contextlib.AsyncExitStack() as place:  # kept until the reply is sent
                if ask.stream:
                    return await self._stream(request, api, gateway, visit, job, place)
                visit.outcome = await self._outcome(gateway, job, visit, place)
                response = json_response(api.reply(gateway.reply(job, visit.outcome)))
                response.headers["X-Request-Id"] = visit.id
                return response

    async def _stream(
        self,
        request: web.Request,
        api: Api,
        gateway: Gateway,
        visit: RequestContext,
        job: Job,
        place: contextlib.AsyncExitStack,
    ) -> web.StreamResponse:
        ask = job.ask
        response = web.StreamResponse(headers={**HEADERS, "X-Request-Id": visit.id})
        writer = api.writer(
            id=visit.id,
            model=ask.model,
            created=job.created,
            include_usage=ask.include_usage,
            progress=ask.nbest.progress,
            echo=ask.echo,
        )
        stream = Stream(request, response, writer, ask.nbest.progress)
        visit.observer = GatewayObserver(
            stream.tell, wants_deltas=ask.n == 1, wants_candidates=ask.nbest.progress in _SHOWING
        )
        try:
            work = self._outcome(gateway, job, visit, place)
            visit.outcome = await stream.run(work, lambda outcome: gateway.reply(job, outcome))
        except ApiError as e:
            if not response.prepared:
                raise
            visit.status, visit.error, visit.outcome = e.status, e, e.outcome  # told in the stream already
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as e:
            if not response.prepared:
                raise
            visit.status, visit.error = 500, e
            log.exception("request %s failed", visit.id)
        await stream.end()
        return response

    async def _outcome(
        self, gateway: Gateway, job: Job, visit: RequestContext, place: contextlib.AsyncExitStack
    ) -> Outcome:
        job = await self._admitted(job, place)
        with self.admission.stoppable():
            return await gateway.outcome(job, visit.observer, visit.span)

    async def _admitted(self, job: Job, place: contextlib.AsyncExitStack) -> Job:
        """Waits for a place, no longer than an answer may take; gives the job with the time that is left."""
        came = time.monotonic()
        try:
            async with asyncio.timeout(job.budget.seconds):
                await place.enter_async_context(self.admission.hold())
        except TimeoutError:
            raise ApiError(
                504,
                "the request waited for a place until its deadline",
                kind="server_error",
                code="deadline",
            ) from None
        if job.budget.seconds is None:
            return job
        left_s = max(0.0, job.budget.seconds - (time.monotonic() - came))
        return dataclasses.replace(job, budget=msgspec.structs.replace(job.budget, seconds=left_s))

    def _open(self, path: str) -> Gateway:
        """Raises `ApiError` where this cannot be answered now, or not by this engine."""
        if not self.is_ready:
            raise ApiError(
                503, "the gateway still waits for its engine", kind="server_error", retry_after_s=2.0
            )
        mode = getattr(unlayered(self.gateway.engines["policy"]), "mode", None)
        if path == "/v1/completions" and mode != "completions":
            raise ApiError(
                404,
                "this gateway's engine answers conversations: POST /v1/chat/completions, or start the gateway"
                ' with  --engine \'openai(url="…", mode="completions")\'  for a base model',
            )
        return self.gateway

    async def _models(self, request: web.Request) -> web.Response:
        self.keys.who(request.headers)
        rows: list[dict[str, Json]] = [
            {"object": "model", "created": 0, "owned_by": "nbest", **row} for row in self.gateway.rows()
        ]
        name = request.match_info.get("name")
        if name is None:
            return json_response({"object": "list", "data": rows})
        if found := next((r for r in rows if r["id"] == name), None):
            return json_response(found)
        raise ApiError(404, f"the model {shortened(name)!r} is not served", code="model_not_found")

    async def _health(self, request: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        """503 while the engine is waited for, while the gateway stops, and while the engine is given up on."""
        why = None
        if self.admission.is_draining:
            why = "stopping"
        elif not self.is_ready:
            why = "the engine does not answer yet"
        elif self.gateway.is_given_up:
            why = "the engine fails: its circuit breaker is open"
        told = {"ready": why is None, "why": why, "models": self.gateway.models}
        return json_response(told, status=200 if why is None else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        """For Prometheus. Not for clients: with keys it takes one of them."""
        self.keys.who(request.headers)
        text = self._exposition() if self._exposition else b""
        return web.Response(body=text, headers={"Content-Type": METRICS_TYPE})

    async def _page(self, request: web.Request) -> web.Response:
        from nbest.serve.playground import playground  # noqa: PLC0415 (most gateways never show it)

        return web.Response(text=playground.html(), headers=playground.headers())

    async def _to_page(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("ui")


def json_response(data: Json, *, status: int = 200) -> web.Response:
    """`data` as JSON."""
    return web.Response(body=msgspec.json.encode(data), status=status, content_type="application/json")


def refusal(e: ApiError) -> web.Response:
    """The error as its client gets it."""
    response = json_response(e.body, status=e.status)
    if e.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, round(e.retry_after_s)))
    if e.status == 401:  # noqa: PLR2004
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _end_span(visit: RequestContext) -> None:
    if visit.span:
        visit.span.end(
            status=visit.status,
            key=visit.key.name,
            model=visit.job.model if visit.job else None,
            strategy=visit.job.label if visit.job else None,
            outcome=visit.outcome,
            error=visit.error,
        )


@lru_cache(maxsize=64)
def _is_local(host: str) -> bool:
    """Whether a Host header names this machine."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
