"""What a gateway does now, and what keys, languages and strategies have spent since it started: for operators."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from nbest.serve.request_context import RequestContext
from nbest.types import Json, Usage

_MAX_LIVE = 200
"""Requests that are shown, the oldest first."""
_MAX_LABEL = 80
"""Characters of a strategy: clients write specs of up to 1000."""


@dataclass(slots=True)
class _Total:
    requests: int = 0
    errors: int = 0
    input: int = 0
    output: int = 0
    calls: int = 0
    cost: float = 0.0

    def add(self, *, is_error: bool, usage: Usage, cost: float) -> None:
        self.requests += 1
        self.errors += is_error
        self.input += usage.prompt
        self.output += usage.completion
        self.calls += usage.calls
        self.cost += cost

    @property
    def row(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__slots__}


class Activity:
    """Requests under way, and totals of those that are over. Totals may be counted in another thread."""

    def __init__(self) -> None:
        self._started = time.time()
        self._live: dict[str, RequestContext] = {}
        self._lock = threading.Lock()
        self._totals: dict[str, dict[str, _Total]] = {"key": {}, "language": {}, "strategy": {}}

    def begin(self, context: RequestContext) -> None:
        """A request has come."""
        self._live[context.id] = context

    def end(self, context: RequestContext) -> None:
        """A request is over."""
        self._live.pop(context.id, None)

    def count(
        self,
        context: RequestContext,
        *,
        language: str,
        strategy: str,
        usage: Usage,
        cost: float | None,
    ) -> None:
        """Adds a request that is over. Language and strategy come from fixed lists, as the labels of metrics do."""
        names = {"key": context.key.name, "language": language, "strategy": strategy}
        with self._lock:
            for kind, name in names.items():
                total = self._totals[kind].setdefault(name, _Total())
                total.add(is_error=context.error is not None, usage=usage, cost=cost or 0.0)

    def view(self) -> dict[str, Json]:
        """All of it, as JSON: keys and languages by their names, no prompts and no answers."""
        now = time.time()
        live = sorted(self._live.values(), key=lambda context: context.started_at)
        with self._lock:
            totals = {f"by_{kind}": _rows(by_name) for kind, by_name in self._totals.items()}
        return {
            "uptime_s": now - self._started,
            "num_live": len(live),
            "live": [_live_row(context, now) for context in live[:_MAX_LIVE]],
            **totals,
        }


def _live_row(context: RequestContext, now: float) -> dict[str, Json]:
    job = context.job
    return {
        "id": context.id,
        "key": context.key.name,
        "endpoint": context.endpoint,
        "model": job.model if job else None,
        "strategy": job.label[:_MAX_LABEL] if job else None,
        "seconds": now - context.started_at,
        "tokens": context.observer.num_tokens,
    }


def _rows(total_by_name: Mapping[str, _Total]) -> list[Json]:
    """Most requests first."""
    ordered = sorted(total_by_name.items(), key=lambda item: (-item[1].requests, item[0]))
    return [{"name": name, **total.row} for name, total in ordered]
