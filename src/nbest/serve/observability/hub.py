"""Where a request goes when it is over: to the log, the metrics and the record."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from nbest.accounting.costs import Costs
from nbest.accounting.meter import total
from nbest.offload import counts
from nbest.serve.api.routes import APIS
from nbest.serve.breaker_states import breaker_states
from nbest.serve.gateway import Gateway
from nbest.serve.jobs import Job
from nbest.serve.observability.background import Background
from nbest.serve.observability.logs import Logs
from nbest.serve.observability.loop_lag import LoopLag
from nbest.serve.observability.metrics import Metrics, language_name
from nbest.serve.observability.recorder import Recorder
from nbest.serve.request_context import RequestContext
from nbest.serve.service import Service
from nbest.text.language import likely_language
from nbest.types import Json, Outcome, replace

_QUEUE = 10_000
_PATIENCE_S = 1.0
"""How long the thread waits for the recorder, where its own queue is short."""
_IDENTIFIED_CHARS = 400
"""Characters of a prompt that its language is identified from."""


class ObservabilityHub:
    """A sink of a service, which passes on what it gets in a thread of its own: the next request need not wait."""

    def __init__(self, service: Service, *, config: Mapping[str, Json]) -> None:
        """`config` goes into the record's manifest. Raises `InputError` for a directory that cannot be written."""
        serve = service.gateway.settings.serve
        self._service = service
        self.metrics = Metrics(presets=service.gateway.strategies.presets, endpoints=APIS)
        self.recorder = Recorder(serve.record, config, rate=serve.record_rate) if serve.record else None
        self.lag = LoopLag(self.metrics.observe_lag)
        self.logs = Logs(prompts=serve.log_prompts)
        self._handler = self.logs.handler()
        logging.getLogger().addHandler(self._handler)
        logging.getLogger("nbest").setLevel(logging.INFO)
        self._background = Background(self._write, size=_QUEUE, name="nbest-observability")
        self._add_readings()
        service.add_sink(self._background.offer)
        service.metrics_text = self.metrics.exposition

    def use(self, gateway: Gateway) -> None:
        """Takes the presets and the record's manifest of a configuration that was read again."""
        self.metrics.add_presets(gateway.strategies.presets)
        if self.recorder:
            self.recorder.use(gateway.config)

    def close(self) -> None:
        """Writes what waits. Blocks for a few seconds at most."""
        self._background.close()
        if self.recorder:
            self.recorder.close()
        logging.getLogger().removeHandler(self._handler)
        self.logs.close()

    def _write(self, context: RequestContext) -> None:
        job, outcome = context.job, context.outcome
        self.metrics.replied(endpoint=context.endpoint, status=context.status, key=context.key.name)
        language = _language_of(job) if job else None
        if job and outcome:
            self._write_outcome(context, job, outcome, language)
        self._count(context, language)
        self.logs.request(
            context.id,
            key=context.key.name,
            endpoint=context.endpoint,
            status=context.status,
            seconds=context.seconds,
            model=job.model if job else None,
            strategy=job.label if job else None,
            outcome=outcome,
            error=context.error,
            upstream_errors=context.observer.errors,
            ended_at=context.ended_at,
        )

    def _count(self, context: RequestContext, language: str | None) -> None:
        """Adds a request to the totals that operators see."""
        meter, prices = context.observer.meter, self._service.gateway.settings.serve.prices
        self._service.activity.count(
            context,
            language=language_name(language),
            strategy=self.metrics.strategy_name(context.job.label) if context.job else "none",
            usage=total(meter.usage),
            cost=Costs(prices=prices).money(meter.spent),
        )

    def _write_outcome(
        self, context: RequestContext, job: Job, outcome: Outcome, language: str | None
    ) -> None:
        self.metrics.answered(
            outcome,
            strategy=job.label,
            seconds=context.seconds,
            language=language,
            first_s=context.observer.first_s,
            choice_s=context.observer.choice_s,
        )
        if self.recorder:
            # After a burst the disk may take its time, but metrics and logs come first.
            is_busy = self._background.num_waiting >= _QUEUE // 2
            patience_s = 0.0 if is_busy else _PATIENCE_S
            self.recorder.offer(recorded(outcome, context.id, language), patience_s=patience_s)

    def _add_readings(self) -> None:
        """Numbers that others keep."""
        service, metrics, recorder, logs = self._service, self.metrics, self.recorder, self.logs
        metrics.add_reading("nbest_in_flight", "Requests at work.", lambda: service.admission.num_at_work)
        metrics.add_reading("nbest_queue_depth", "Requests that wait.", lambda: service.admission.num_waiting)
        metrics.add_reading(
            "nbest_event_loop_lag_max_seconds", "The highest lag of the last minute.", lambda: self.lag.max_s
        )
        metrics.add_reading(
            "nbest_worker_jobs",
            "Jobs that worker processes have done.",
            lambda: counts.num_done,
            kind="counter",
        )
        metrics.add_reading(
            "nbest_worker_kills",
            "Jobs that were ended with their worker process: late, cancelled or above a limit.",
            lambda: counts.num_killed,
            kind="counter",
        )
        metrics.add_reading(
            "nbest_breaker_state",
            "Circuit breakers: 0 closed, 0.5 half open, 1 open.",
            lambda: breaker_states(service.gateway.upstreams.all_engines),
            label="upstream",
        )
        metrics.add_reading(
            "nbest_log_dropped", "Lines not logged.", lambda: logs.num_dropped, kind="counter"
        )
        if recorder:
            metrics.add_reading(
                "nbest_recorded", "Outcomes recorded.", lambda: recorder.num_recorded, kind="counter"
            )
            metrics.add_reading(
                "nbest_record_dropped", "Outcomes not recorded.", lambda: recorder.num_dropped, kind="counter"
            )


def _language_of(job: Job) -> str | None:
    """Of the prompt: as the client says, or by its beginning."""
    return job.request.nbest.language or likely_language(job.prompt.text[:_IDENTIFIED_CHARS])


def recorded(outcome: Outcome, request_id: str, language: str | None) -> Outcome:
    """The outcome for a record: with its language, and with an id of its own.

    Draws depend on the prompt's id, so that requests with the same seed have the same; `request_id` tells them apart.
    """
    prompt = outcome.prompt
    prompt_id = request_id if prompt.id == request_id else f"{prompt.id}/{request_id}"
    return replace(outcome, prompt=replace(prompt, id=prompt_id, language=prompt.language or language))
