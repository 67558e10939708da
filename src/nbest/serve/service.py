"""What the requests of a gateway share: its configuration, keys, limits, and the sinks of observability."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nbest.serve.admission import Admission
from nbest.serve.allowances import Allowances
from nbest.serve.api_errors import ApiError, server_error
from nbest.serve.breaker_states import breaker_states
from nbest.serve.gateway import Gateway
from nbest.serve.key_limits import KeyLimits
from nbest.serve.keys import Keys
from nbest.serve.observability.activity import Activity
from nbest.serve.observability.tracing import Tracing
from nbest.serve.request_context import RequestContext
from nbest.settings.gateway import Serve
from nbest.types import Json

_SPARE_CONNECTIONS = 16
"""For health checks, metrics, and clients that are told that there is no room."""
Sink = Callable[[RequestContext], object]
"""Gets every request when it is over."""


class Service:
    """A gateway that can be replaced while it runs: a configuration that is read again is a new `Gateway`."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        is_public: bool = False,
        tracing: Tracing | None = None,
        max_connections: int | None = None,
    ) -> None:
        """`is_public`: whether clients may use any host name though there are no keys.

        `max_connections` bounds the requests that are at work or wait, each of which has a connection.
        """
        serve = gateway.settings.serve
        self._max_requests: int | None = None
        if max_connections is not None:
            self._max_requests = max(1, max_connections - _SPARE_CONNECTIONS)
        self.is_public = is_public
        self.tracing = tracing
        self.is_ready = False
        self.key_limits = KeyLimits()
        self.admission = Admission(concurrency=serve.concurrency, queue=serve.queue)
        self.metrics_text: Callable[[], bytes] = bytes
        """What GET /metrics gives."""
        self.activity = Activity()
        self.allowances = Allowances(serve.redis)
        self.connections_at_work: set[object] = set()
        """Connections of clients, a request of which is being answered."""
        self._sinks: list[Sink] = []
        self.use(gateway)

    def use(self, gateway: Gateway) -> None:
        """Answers with `gateway` from now on; requests under way keep the one they began with."""
        self.gateway = gateway
        self.apply_limits(gateway.settings.serve)

    def apply_limits(self, serve: Serve) -> None:
        """Takes these keys and limits from now on."""
        self.keys = Keys(serve.keys, serve.operators)
        concurrency, queue = serve.concurrency, serve.queue
        if self._max_requests is not None:
            concurrency = min(concurrency, self._max_requests)
            queue = min(queue, self._max_requests - concurrency)
        self.admission.resize(concurrency=concurrency, queue=queue)

    def add_sink(self, sink: Sink) -> None:
        """`sink` gets every request from now on when it is over."""
        self._sinks.append(sink)

    def begin(self, context: RequestContext) -> None:
        """A request has come; `notify` is called when it is over."""
        self.activity.begin(context)

    def notify(self, context: RequestContext) -> None:
        """A request is over."""
        self.activity.end(context)
        context.end_span()
        for sink in self._sinks:
            sink(context)

    def activity_view(self) -> dict[str, Json]:
        """What operators see: requests under way, totals, money of today, upstream servers."""
        keys = self.gateway.settings.serve.keys
        return {
            "ready": self.why_not_ready is None,
            "why": self.why_not_ready,
            "at_work": self.admission.num_at_work,
            "waiting": self.admission.num_waiting,
            "tasks": len(asyncio.all_tasks()),
            **self.activity.view(),
            **self.allowances.view(keys),
            "upstreams": breaker_states(self.gateway.upstreams.all_engines),
        }

    @property
    def why_not_ready(self) -> str | None:
        """Why a load balancer should send nothing here now; None where it may."""
        if self.admission.is_draining:
            return "stopping"
        if not self.is_ready:
            return "the engine does not answer yet"
        if self.gateway.upstreams.is_given_up:
            return "the engine fails: its circuit breaker is open"
        return None

    def gateway_for(self, path: str) -> Gateway:
        """The gateway for a request to `path`. Raises `ApiError` where the engine is not there, or of another kind."""
        if not self.is_ready:
            raise server_error(503, "the gateway still waits for its engine", wait_s=2.0)
        if path == "/v1/completions" and not self.gateway.upstreams.completes_texts:
            raise ApiError(
                404, "this server's model answers conversations: send them to POST /v1/chat/completions"
            )
        return self.gateway
