"""Who is told of a request when it is over: the log, the metrics, the record."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from nbest.engines.layers.breaker import Breaker
from nbest.engines.layers.failover import Failover
from nbest.serve.api.routes import APIS
from nbest.serve.app import RequestContext, Service
from nbest.serve.gateway import Gateway, within
from nbest.serve.observability.background import Background
from nbest.serve.observability.logs import Logs
from nbest.serve.observability.metrics import Metrics
from nbest.serve.observability.recorder import Recorder
from nbest.text.language import likely_language
from nbest.types import Json, Outcome, replace

_STATES = {"closed": 0.0, "half_open": 0.5, "open": 1.0}
_QUEUE = 10_000
_PATIENCE_S = 1.0
_READ_CHARS = 400
"""Of a prompt, to tell its language."""


class ObservabilityHub:
    """Listens to a service, and lets go of threads and files at the end."""

    def __init__(self, service: Service, *, config: Mapping[str, Json]) -> None:
        """`config` is what the record's manifest says. Raises `InputError` for a directory that cannot be written."""
        serve = service.gateway.settings.serve
        self._service = service
        self.metrics = Metrics(presets=service.gateway.presets, endpoints=APIS)
        self.recorder = Recorder(serve.record, config, rate=serve.record_rate) if serve.record else None
        self.logs = Logs(prompts=serve.log_prompts)
        self._handler = self.logs.handler()
        logging.getLogger().addHandler(self._handler)
        logging.getLogger("nbest").setLevel(logging.INFO)
        self._heard = Background(self._write, size=_QUEUE, name="nbest-telling")
        self._follow()
        service.tell(self._heard.offer)
        service.show_metrics(self.metrics.exposition)

    def use(self, gateway: Gateway) -> None:
        """Of a configuration that was read again."""
        self.metrics.add_presets(gateway.presets)
        if self.recorder:
            self.recorder.use(gateway.config)

    def _write(self, visit: RequestContext) -> None:
        """Of a request that is over, in a thread of its own: the next one need not wait."""
        job, outcome, observer = visit.job, visit.outcome, visit.observer
        self.metrics.replied(endpoint=visit.endpoint, status=visit.status, key=visit.key.name)
        if job and outcome:
            language = job.ask.nbest.language or likely_language(job.prompt.text[:_READ_CHARS])
            self.metrics.answered(
                outcome,
                strategy=job.label,
                seconds=visit.seconds,
                language=language,
                first_s=observer.first_s,
                choice_s=observer.choice_s,
            )
            if self.recorder:
                # After a burst the disk may take its time; what comes first is that metrics and logs are whole.
                patience_s = _PATIENCE_S if self._heard.num_waiting < _QUEUE // 2 else 0.0
                self.recorder.offer(_recorded(outcome, visit.id, language), patience_s=patience_s)
        self.logs.request(
            visit.id,
            key=visit.key.name,
            endpoint=visit.endpoint,
            status=visit.status,
            seconds=visit.seconds,
            model=job.model if job else None,
            strategy=job.label if job else None,
            outcome=outcome,
            error=visit.error,
            upstream_errors=observer.errors,
            ended=visit.ended,
        )

    def close(self) -> None:
        """Writes what waits. Blocks for a few seconds at most."""
        self._heard.close()
        if self.recorder:
            self.recorder.close()
        logging.getLogger().removeHandler(self._handler)
        self.logs.close()

    def _follow(self) -> None:
        service, metrics, recorder = self._service, self.metrics, self.recorder
        metrics.follow("nbest_in_flight", "Requests at work.", lambda: service.admission.num_at_work)
        metrics.follow("nbest_queue_depth", "Requests that wait.", lambda: service.admission.num_waiting)
        metrics.follow(
            "nbest_breaker_state",
            "Circuit breakers: 0 closed, 0.5 half open, 1 open.",
            lambda: breaker_states(service),
            label="upstream",
        )
        logs = self.logs
        metrics.follow("nbest_log_dropped", "Lines not logged.", lambda: logs.num_dropped, kind="counter")
        if recorder:
            metrics.follow(
                "nbest_recorded", "Outcomes recorded.", lambda: recorder.num_recorded, kind="counter"
            )
            metrics.follow(
                "nbest_record_dropped", "Outcomes not recorded.", lambda: recorder.num_dropped, kind="counter"
            )


def breaker_states(service: Service) -> dict[str, float]:
    """By the name of the engine; the worst of those with one name."""
    states: dict[str, float] = {}
    for engine in (e for named in service.gateway.all_engines for e in within(named)):
        own = {engine.name: engine.state} if isinstance(engine, Breaker) else {}
        for name, state in (engine.states if isinstance(engine, Failover) else own).items():
            states[name] = max(states.get(name, 0.0), _STATES[state])
    return states


def _recorded(outcome: Outcome, id_: str, language: str | None) -> Outcome:
    """With the language that was found, and under an id of its own: requests with the same seed have the same
    prompt id, which draws depend on."""
    prompt = outcome.prompt
    id_ = id_ if prompt.id == id_ else f"{prompt.id}/{id_}"
    return replace(outcome, prompt=replace(prompt, id=id_, language=prompt.language or language))
