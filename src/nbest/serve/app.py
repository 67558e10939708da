"""The gateway's routes, and what all of them share: errors in OpenAI's shape, and who may ask at all."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from functools import lru_cache

from aiohttp import web

from nbest.serve.api.bad_request import shortened
from nbest.serve.api.routes import APIS
from nbest.serve.api_errors import ApiError
from nbest.serve.handler import RequestHandler
from nbest.serve.http_responses import error_response, json_response
from nbest.serve.observability.metrics import CONTENT_TYPE as METRICS_TYPE
from nbest.serve.service import Service
from nbest.types import Json

_CLOSED_BY_CLIENT = 499
_LINGERING_S = 2.0
"""How long what is left of a refused request's body is read and dropped."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(service: Service) -> web.Application:
    """The web application of a service."""
    return _App(service).application()


class _App:
    def __init__(self, service: Service) -> None:
        self._service = service

    def application(self) -> web.Application:
        @web.middleware
        async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
            return await self._guarded(request, handler)

        serve = self._service.gateway.settings.serve
        app = web.Application(
            client_max_size=serve.max_body_bytes,
            middlewares=[guarded],
            # A compressed body is never decoded, and one that is refused is not read on for long.
            handler_args={"auto_decompress": False, "lingering_time": _LINGERING_S},
        )
        handler = RequestHandler(self._service)
        for path in APIS:
            app.router.add_post(path, handler.handle)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{name:.+}", self._models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/admin/activity", self._activity)
        if serve.ui:
            app.router.add_get("/ui", self._page)
            app.router.add_get("/", self._to_page)
        return app

    async def _guarded(self, http_request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Every error, whoever raised it, as OpenAI's clients read it."""
        connection = http_request.protocol
        self._service.connections_at_work.add(connection)
        try:
            self._check_host(http_request)
            _check_encoding(http_request)
            return await handler(http_request)
        except ApiError as e:
            return error_response(e)
        except web.HTTPNotFound:
            hint = ": base URLs end in /v1" if f"/v1{http_request.path}" in APIS else ""
            what = f"{http_request.method} {shortened(http_request.path)}"
            return error_response(ApiError(404, f"there is nothing at {what}{hint}"))
        except web.HTTPMethodNotAllowed as e:
            message = f"{http_request.path} takes {', '.join(e.allowed_methods)}"
            response = error_response(ApiError(405, message))
            response.headers["Allow"] = e.headers["Allow"]
            return response
        except ConnectionError:  # the client is gone, which is no error of the gateway's to be logged
            return web.Response(status=_CLOSED_BY_CLIENT)
        finally:
            self._service.connections_at_work.discard(connection)

    def _check_host(self, http_request: web.Request) -> None:
        """Without keys, allows this machine's own names alone: a web page's host name may be made to point here."""
        has_keys = bool(self._service.gateway.settings.serve.keys)
        if not (self._service.is_public or has_keys or _is_local(http_request.host)):
            raise ApiError(
                403,
                f"this gateway has no keys and answers this machine alone, not as {http_request.host!r}:"
                " whoever runs it can give it keys",
            )

    async def _models(self, http_request: web.Request) -> web.Response:
        self._service.keys.who(http_request.headers)
        gateway = self._service.gateway
        rows: list[dict[str, Json]] = [
            {"object": "model", "created": 0, "owned_by": "nbest", **row}
            for row in gateway.strategies.rows(gateway.upstreams.models)
        ]
        name = http_request.match_info.get("name")
        if name is None:
            return json_response({"object": "list", "data": rows})
        for row in rows:
            if row["id"] == name:
                return json_response(row)
        raise ApiError(404, f"the model {shortened(name)!r} is not served", code="model_not_found")

    async def _health(self, http_request: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def _ready(self, http_request: web.Request) -> web.Response:
        """503 while the engine is waited for, while the gateway stops, and while the engine is given up on."""
        why = self._service.why_not_ready
        models = self._service.gateway.upstreams.models
        body = {"ready": why is None, "why": why, "models": models}
        return json_response(body, status=200 if why is None else 503)

    async def _metrics(self, http_request: web.Request) -> web.Response:
        """For Prometheus; where there are keys, it needs an operator's."""
        self._service.keys.check_metrics(http_request.headers)
        return web.Response(body=self._service.metrics_text(), headers={"Content-Type": METRICS_TYPE})

    async def _activity(self, http_request: web.Request) -> web.Response:
        """What `nbest top` shows; it needs an operator's key, always."""
        self._service.keys.check_operator(http_request.headers)
        return json_response(self._service.activity_view())

    async def _page(self, http_request: web.Request) -> web.Response:
        from nbest.serve.playground import playground  # noqa: PLC0415 (most gateways never show it)

        return web.Response(text=playground.html(), headers=playground.headers())

    async def _to_page(self, http_request: web.Request) -> web.Response:
        raise web.HTTPFound("ui")


def _check_encoding(http_request: web.Request) -> None:
    """Raises `ApiError` for a body that is compressed: a megabyte of it may be a gigabyte."""
    encoding = http_request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise ApiError(415, f"the body is encoded ({shortened(encoding)}): send it as plain JSON")


@lru_cache(maxsize=64)
def _is_local(host: str) -> bool:
    """Whether a Host header, with or without a port, names this machine."""
    before, _, port = host.rpartition(":")
    name = before if port.isdigit() else host
    name = name.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
