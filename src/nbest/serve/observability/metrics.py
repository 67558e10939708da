"""Metrics for Prometheus. Labels come from fixed lists: no client can make new series."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import Final, Literal

import prometheus_client as prometheus
from prometheus_client import metrics_core
from prometheus_client.registry import Collector

from nbest import registry
from nbest.text.language import LANGUAGES
from nbest.types import Outcome

CONTENT_TYPE: Final = prometheus.CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 600)
_LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_TAG_END = re.compile(r"[-_]")
_NAME = re.compile(r"\w*")
Reading = float | Mapping[str, float]
"""A value, or values by label."""


class Metrics:
    """Counters of one gateway, in a registry of their own."""

    def __init__(self, *, presets: Collection[str] = (), endpoints: Collection[str] = ()) -> None:
        self._strategies = {*registry.names("strategies"), *presets}
        self._endpoints = frozenset(endpoints)
        self._registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self._registry)
        self._readings = _Readings()
        self._registry.register(self._readings)
        prometheus.disable_created_metrics()  # a second time series for each, which nobody reads

        def counter(name: str, help_text: str, *labels: str) -> Callable[..., prometheus.Counter]:
            return cache(prometheus.Counter(name, help_text, labels, registry=self._registry).labels)

        def histogram(name: str, help_text: str, *labels: str) -> Callable[..., prometheus.Histogram]:
            family = prometheus.Histogram(name, help_text, labels, registry=self._registry, buckets=_SECONDS)
            return cache(family.labels)

        self._requests = counter("nbest_requests_total", "Replies.", "endpoint", "status", "key")
        self._candidates = counter("nbest_candidates_total", "Candidates drawn, and not drawn.", "state")
        self._tokens = counter(
            "nbest_tokens_total", "Tokens; cached ones are among the input tokens.", "role", "kind"
        )
        self._stopped = counter("nbest_stopped_total", "Answers by why they ended.", "why")
        self._decisions = counter("nbest_decisions_total", "Answers by how.", "strategy", "language")
        self._seconds = histogram("nbest_request_seconds", "From request to full reply.", "strategy")
        self._first_s = histogram("nbest_first_candidate_seconds", "From request to first draw.", "strategy")
        self._choice_s = histogram("nbest_choice_seconds", "From last draw to the choice.", "strategy")

        self.observe_lag = prometheus.Histogram(
            "nbest_event_loop_lag_seconds",
            "How late the event loop went on, measured every 50 ms.",
            registry=self._registry,
            buckets=_LAGS,
        ).observe
        """Counts one lag, in seconds."""

    def add_presets(self, names: Iterable[str]) -> None:
        """Of a configuration that was read again. Names that are gone keep their series."""
        self._strategies.update(names)

    def replied(self, *, endpoint: str, status: int, key: str) -> None:
        """Counts every reply, errors included. `key` is a name of the configuration."""
        shown = endpoint if endpoint in self._endpoints else "other"
        self._requests(shown, str(status), key).inc()

    def answered(
        self,
        outcome: Outcome,
        *,
        strategy: str,
        seconds: float,
        language: str | None = None,
        first_s: float | None = None,
        choice_s: float | None = None,
    ) -> None:
        """Counts one outcome. `strategy` is the name of a preset, or a spec, of which the name counts."""
        name = self.strategy_name(strategy)
        failed = sum(not c.is_usable for c in outcome.candidates)
        self._candidates("ok").inc(len(outcome.candidates) - failed)
        self._candidates("failed").inc(failed)
        for role, usage in outcome.usage.items():
            self._tokens(role, "input").inc(usage.prompt)
            self._tokens(role, "cached").inc(usage.cached)
            self._tokens(role, "output").inc(usage.completion)
        self._stopped(outcome.stopped).inc()
        self._decisions(name, language_name(language)).inc()
        self._seconds(name).observe(seconds)
        if first_s is not None:
            self._first_s(name).observe(first_s)
        if choice_s is not None:
            self._choice_s(name).observe(choice_s)

    def add_reading(
        self,
        name: str,
        help_text: str,
        current: Callable[[], Reading],
        *,
        kind: Literal["gauge", "counter"] = "gauge",
        label: str | None = None,
    ) -> None:
        """Adds a metric whose value `current` gives; with `label`, the values by that label."""
        self._readings.sources[name] = (help_text, current, kind, label)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format 0.0.4."""
        return prometheus.generate_latest(self._registry)

    def strategy_name(self, strategy: str) -> str:
        """The label for a preset or a spec, of which the name counts."""
        if strategy in self._strategies:
            return strategy
        match = _NAME.match(strategy)
        name = match[0] if match else ""
        return name if name in self._strategies else "other"


class _Readings(Collector):
    """Metrics whose values are kept elsewhere."""

    def __init__(self) -> None:
        self.sources: dict[str, tuple[str, Callable[[], Reading], str, str | None]] = {}

    def collect(self) -> Iterable[metrics_core.Metric]:
        for name, (help_text, current, kind, label) in self.sources.items():
            labels = [label] if label else []
            if kind == "gauge":
                family = metrics_core.GaugeMetricFamily(name, help_text, labels=labels)
            else:
                family = metrics_core.CounterMetricFamily(name, help_text, labels=labels)

            value = current()
            if isinstance(value, Mapping):
                for which, number in value.items():
                    family.add_metric([which], number)
            else:
                family.add_metric([], value)
            yield family


def language_name(code: str | None) -> str:
    """The label for a language's code: a known one's own, else `unknown` or `other`."""
    known = _TAG_END.split(code or "", maxsplit=1)[0].lower()
    if not known:
        return "unknown"
    return known if known in LANGUAGES else "other"
