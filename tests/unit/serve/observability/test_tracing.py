"""Where the extra `otel` is installed; the rest shows what happens without it."""

import asyncio
import importlib.util
import logging

import pytest

from nbest.engines.fake import Fake
from nbest.errors import EngineHttpError, MissingExtraError
from nbest.run import ask
from nbest.serve.observability import tracing as module
from nbest.serve.observability.tracing import Tracing, tracing
from nbest.strategies.parallel import Parallel
from nbest.types import Message, Prompt, Request

HAS_OTEL = importlib.util.find_spec("opentelemetry") is not None
needs_otel = pytest.mark.skipif(not HAS_OTEL, reason="needs the extra otel")

SECRET = "секрет"
PROMPT = Prompt(id="1", messages=(Message(role="user", content=SECRET),))
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter():
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    class Kept(InMemorySpanExporter):
        def shutdown(self):  # would forget
            pass

    return Kept()


def spans(traces, exporter):
    traces.close()
    return exporter.get_finished_spans()


@needs_otel
async def test_a_request_and_its_calls_are_one_trace(exporter):
    traces = Tracing(exporter)
    span = traces.start("/v1/chat/completions", {"traceparent": PARENT})
    outcome = await ask(PROMPT, Parallel(), span.engines({"policy": Fake()}))
    span.end(status=200, key="ana", model="m", strategy="parallel", outcome=outcome)
    *calls, request = spans(traces, exporter)
    assert span.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert format(request.parent.span_id, "016x") == "b7ad6b7169203331"
    assert request.name == "POST /v1/chat/completions"
    assert request.attributes["nbest.candidates"] == len(outcome.candidates) == 5
    assert request.attributes["http.response.status_code"] == 200
    assert calls
    for call in calls:
        assert call.parent.span_id == request.context.span_id
        assert call.context.trace_id == request.context.trace_id
        assert call.kind.name == "CLIENT"
        assert call.attributes["gen_ai.operation.name"] == "chat"
        assert call.attributes["nbest.role"] == "policy"
    for name in ("input_tokens", "output_tokens"):
        total = request.attributes[f"gen_ai.usage.{name}"]
        assert total == sum(c.attributes[f"gen_ai.usage.{name}"] for c in calls) > 0
    assert sum(c.attributes["gen_ai.request.choice.count"] for c in calls) == 5
    assert SECRET not in "".join(s.to_json() for s in (*calls, request))
    assert all(candidate.text not in s.to_json() for candidate in outcome.candidates for s in calls)


@needs_otel
async def test_failures_are_told_by_kind_alone(exporter):
    class Broken(Fake):
        async def generate(self, request, on_delta=None):
            raise EngineHttpError(SECRET, status=503)

    traces = Tracing(exporter)
    span = traces.start("/v1/responses", {})
    with pytest.raises(EngineHttpError):
        await span.engines({"policy": Broken()})["policy"].generate(Request(prompt=PROMPT))
    span.end(status=502, key="ana", error=EngineHttpError(SECRET, status=503))
    call, request = spans(traces, exporter)
    for found in (call, request):
        assert found.attributes["error.type"] == "503"
        assert found.status.status_code.name == "ERROR"
        assert SECRET not in found.to_json()
        assert not found.events


@needs_otel
async def test_a_call_that_is_cancelled_on_purpose_is_no_error(exporter):
    class Slow(Fake):
        async def generate(self, request, on_delta=None):
            await asyncio.sleep(3600)

    traces = Tracing(exporter)
    span = traces.start("/v1/responses", {"traceparent": "nonsense"})
    engine = span.engines({"policy": Slow()})["policy"]
    task = asyncio.create_task(engine.generate(Request(prompt=PROMPT)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (call,) = spans(traces, exporter)
    assert call.attributes["error.type"] == "cancelled"
    assert call.status.status_code.name == "UNSET"


@needs_otel
async def test_pieces_of_text_are_passed_on(exporter):
    streamed = []
    traces = Tracing(exporter)
    engine = traces.start("/", {}).engines({"policy": Fake()})["policy"]
    (drawn,) = await engine.generate(Request(prompt=PROMPT), streamed.append)
    assert "".join(streamed) in {drawn.text, ""}
    assert engine.name == Fake().name
    traces.close()


@pytest.mark.parametrize(
    ("engine", "provider", "model", "host"),
    [
        ("openai/Qwen/Qwen3-8B@gpu-1:8000", "openai", "Qwen/Qwen3-8B", "gpu-1:8000"),
        ("openai/m@gpu+0123abcd", "openai", "m", "gpu"),
        ("llamacpp/nbest-mini", "llamacpp", "nbest-mini", None),
        ("failover(openai/a@b, openai/c@d)", None, "failover(openai/a@b, openai/c@d)", None),
        ("fake", None, "fake", None),
    ],
)
def test_an_engines_name_says_provider_model_and_server(engine, provider, model, host):
    said = module._call_attributes(engine, Request(prompt=PROMPT))
    assert (
        said.get("gen_ai.provider.name"),
        said["gen_ai.request.model"],
        said.get("server.address"),
    ) == (provider, model, host)


def test_nothing_is_traced_unless_an_address_is_named(monkeypatch):
    for name in module._ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert tracing() is None


def test_an_address_without_the_extra_is_a_warning(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(module.importlib, "import_module", missing)
    with caplog.at_level(logging.WARNING):
        assert tracing() is None
    assert "pip install 'nbest[otel]'" in caplog.text
    with pytest.raises(MissingExtraError):
        Tracing()


@needs_otel
def test_an_address_and_the_extra_make_traces(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    traces = tracing()
    assert traces is not None
    traces.close()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert tracing() is None
