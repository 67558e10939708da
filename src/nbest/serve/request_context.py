"""One request from its arrival to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nbest.serve.jobs import Job
from nbest.serve.keys import ANYONE
from nbest.serve.observability.tracing import RequestSpan
from nbest.serve.observer import GatewayObserver
from nbest.settings.gateway import Key
from nbest.types import Outcome


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """What is known of a request so far; the sinks of observability get it when the request is over."""

    id: str
    endpoint: str
    key: Key = ANYONE
    job: Job | None = None
    outcome: Outcome | None = None
    status: int = 200
    error: BaseException | None = None
    observer: GatewayObserver = field(default_factory=GatewayObserver)
    span: RequestSpan | None = None
    started_at: float = field(default_factory=time.time)
    """Unix time."""
    seconds: float = 0.0
    """From its arrival to its end."""
    ended_at: float = 0.0
    """Unix time."""

    def fail(self, status: int, error: BaseException, outcome: Outcome | None = None) -> None:
        """There is no answer; `outcome` is what was drawn nevertheless."""
        self.status, self.error = status, error
        if outcome is not None:
            self.outcome = outcome

    def end_span(self) -> None:
        """Ends the trace's span of the request, where there is one."""
        if self.span is None:
            return
        self.span.end(
            status=self.status,
            key=self.key.name,
            model=self.job.model if self.job else None,
            strategy=self.job.label if self.job else None,
            outcome=self.outcome,
            error=self.error,
        )
