"""OpenTelemetry traces: a span of each request, and one below it of each call of an engine.

Attributes are those of the semantic conventions for generative AI, where there is one; none holds a
prompt, an answer or the message of an error.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import threading
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbest.accounting import meter
from nbest.engines.layers.layer import Layer
from nbest.errors import EngineHttpError, MissingExtraError
from nbest.protocols import Engine, OnDelta
from nbest.types import Completion, Outcome, Request, Usage

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_ENGINE = re.compile(r"(\w+)/([^@]+?)(?:@([^+]+))?(?:\+[0-9a-f]+)?")
"""`provider/model@host+digest`, as engines call themselves."""
_SERVER_FAULT = 500


class Tracing:
    """Makes spans, and sends them from a thread of its own.

    The variables of the OpenTelemetry SDK decide where to, how many, and what the service is called.
    Raises `MissingExtraError` without the extra `otel`.
    """

    def __init__(self, exporter: Any = None) -> None:
        """`exporter` takes the place of OTLP over HTTP."""
        try:
            self._api: Any = importlib.import_module("opentelemetry.trace")
            self._sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
            export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
            resources: Any = importlib.import_module("opentelemetry.sdk.resources")
            context: Any = importlib.import_module("opentelemetry.trace.propagation.tracecontext")
            if exporter is None:
                otlp: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
                exporter = otlp.OTLPSpanExporter()
        except ImportError:
            raise MissingExtraError("opentelemetry", "otel") from None
        name = os.environ.get("OTEL_SERVICE_NAME", "nbest")
        # OTEL_RESOURCE_ATTRIBUTES is merged in by the SDK.
        resource = resources.Resource.create({"service.name": name})
        self._provider = self._sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("nbest")
        self._propagator = context.TraceContextTextMapPropagator()

    def start(self, route: str, headers: Mapping[str, str]) -> RequestSpan:
        """The span of a request; it continues the trace that `traceparent` names. Names of headers in lower case."""
        span = self._tracer.start_span(
            f"POST {route}",
            context=self._propagator.extract(headers),
            kind=self._api.SpanKind.SERVER,
            attributes={"http.request.method": "POST", "http.route": route},
        )
        return RequestSpan(self._tracer, self._api, span)

    def close(self, seconds: float = 5.0) -> None:
        """Sends what waits, for at most `seconds`, since the collector may be down. Blocks."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(seconds)


def tracing() -> Tracing | None:
    """What the environment asks for: None without `OTEL_EXPORTER_OTLP_ENDPOINT`, or without the extra."""
    if not any(map(os.environ.get, _ENDPOINTS)) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        return Tracing()
    except MissingExtraError as e:
        log.warning("there are no traces: %s", e)
        return None


class RequestSpan:
    """The span of one request, until `end`."""

    def __init__(self, tracer: Any, api: Any, span: Any) -> None:
        self._tracer = tracer
        self._api = api
        self._span = span

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits, for logs."""
        return format(self._span.get_span_context().trace_id, "032x")

    def engines(self, engines: Mapping[str, Engine]) -> dict[str, Engine]:
        """The same, whose calls make spans below this one."""
        parent = self._api.set_span_in_context(self._span)
        return {
            name: Traced(engine=engine, tracer=self._tracer, api=self._api, parent=parent)
            for name, engine in engines.items()
        }

    def end(
        self,
        *,
        status: int,
        key: str,
        model: str | None = None,
        strategy: str | None = None,
        outcome: Outcome | None = None,
        error: BaseException | None = None,
    ) -> None:
        """The request is over; `strategy` is a preset's or registry's name."""
        attributes = {
            "http.response.status_code": status,
            "nbest.key": key,
            "gen_ai.request.model": model,
            "nbest.strategy": strategy,
        }
        if outcome is not None:
            attributes |= _tokens(meter.total(outcome.usage))
            attributes["nbest.candidates"] = len(outcome.candidates)
            attributes["nbest.candidates.failed"] = sum(not c.is_usable for c in outcome.candidates)
            attributes["nbest.stopped"] = outcome.stopped
        if error is not None:
            attributes["error.type"] = getattr(error, "code", None) or _kind(error)
        if status >= _SERVER_FAULT:
            self._span.set_status(self._api.StatusCode.ERROR)
        self._span.set_attributes({k: v for k, v in attributes.items() if v is not None})
        self._span.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced(Layer):
    """An engine with a span around each call, below `parent`."""

    tracer: Any
    api: Any
    parent: Any

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        attributes = _call_attributes(self.engine.name, request)
        span = self.tracer.start_span(
            f"chat {attributes['gen_ai.request.model']}",
            context=self.parent,
            kind=self.api.SpanKind.CLIENT,
            attributes=attributes,
        )
        try:
            completions = await self.engine.generate(request, on_delta)
        except CancelledError:
            span.set_attribute("error.type", "cancelled")  # on purpose: the quorum was there
            raise
        except BaseException as e:
            span.set_attribute("error.type", _kind(e))
            span.set_status(self.api.StatusCode.ERROR)
            raise
        else:
            span.set_attributes(_tokens(sum((c.usage for c in completions), Usage())))
            span.set_attribute("gen_ai.response.finish_reasons", [c.finish for c in completions])
            return completions
        finally:
            span.end()


def _call_attributes(engine: str, request: Request) -> dict[str, str | int | float]:
    named = _ENGINE.fullmatch(engine)
    provider, model, host = named.groups() if named else (None, engine, None)
    params = request.params
    attributes: dict[str, str | int | float | None] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "server.address": host,
        "gen_ai.request.choice.count": request.n,
        "gen_ai.request.max_tokens": params.max_tokens,
        "gen_ai.request.temperature": params.temperature,
        "gen_ai.request.top_p": params.top_p,
        "gen_ai.request.seed": params.seed,
        "nbest.role": request.role,
    }
    return {k: v for k, v in attributes.items() if v is not None}


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.cache_read.input_tokens": usage.cached,
        "gen_ai.usage.output_tokens": usage.completion,
    }


def _kind(error: BaseException) -> str:
    return str(error.status) if isinstance(error, EngineHttpError) else type(error).__name__
