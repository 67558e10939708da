"""What happens while one request is answered: for its stream, for errors, for metrics and limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from nbest.accounting.meter import Meter, total
from nbest.errors import EngineError
from nbest.serve.candidate_json import completion_json
from nbest.serve.redaction import Redact
from nbest.types import Completion, Delta, Json, ReasoningDelta, Request, Usage

EventKind = Literal["event", "failure", "delta"]


@dataclass(frozen=True, slots=True)
class CandidateEvent:
    """A candidate that arrived. How it is shown is worked out only as it is sent: a pool may have hundreds."""

    fields: Mapping[str, Json]
    show: Callable[[], Mapping[str, Json]]

    def shown(self) -> Mapping[str, Json]:
        return {**self.fields, "candidate": self.show()}


StreamEvent = Delta | CandidateEvent | Mapping[str, Json]
OnStreamEvent = Callable[[EventKind, StreamEvent], object]
"""Takes ("event", what happened), ("failure", a candidate that failed) and ("delta", a part of the answer)."""


class GatewayObserver:
    """A `RequestObserver` that keeps one request's errors, times and tokens, and passes events to its stream."""

    def __init__(
        self,
        on_event: OnStreamEvent | None = None,
        *,
        wants_deltas: bool = False,
        wants_candidates: bool = False,
        redact: Redact = str,
    ) -> None:
        """`redact` takes out of candidates what clients may not read."""
        self.wants_deltas = wants_deltas
        self._wants_candidates = wants_candidates
        self._on_event = on_event
        self._redact = redact
        self.errors: list[EngineError] = []
        """Of the calls, in the order they came."""
        self.first_s: float | None = None
        """Seconds until the first completion."""
        self.choice_s: float | None = None
        """Seconds from the last candidate to the choice."""
        self.has_emitted = False
        """Whether a part of the answer was streamed, which can only be continued."""
        self.meter = Meter()
        self._num_candidates = 0
        self._last_candidate_s: float | None = None
        self._started = time.monotonic()

    @property
    def num_tokens(self) -> int:
        """Input and output tokens so far, over all calls; of calls that were cut, as estimated."""
        spent = total(self.usage)
        return spent.prompt + spent.completion

    @property
    def usage(self) -> Mapping[str, Usage]:
        """By role so far."""
        return self.meter.usage

    def on_completions(self, request: Request, completions: Sequence[Completion]) -> None:
        now = time.monotonic() - self._started
        if self.first_s is None:
            self.first_s = now
        if request.role == "policy":
            self._last_candidate_s = now
            self._num_candidates += len(completions)
        if self._on_event is not None:
            self._pass_on(request, completions, self._on_event)

    def on_error(self, request: Request, error: EngineError) -> None:
        self.errors.append(error)

    def on_cut(self, request: Request, usage: Usage) -> None:
        """The meter has it."""

    def on_chosen(self) -> None:
        """There is an answer."""
        if self._last_candidate_s is not None:
            self.choice_s = time.monotonic() - self._started - self._last_candidate_s

    def on_delta(self, delta: Delta) -> None:
        if not isinstance(delta, ReasoningDelta):
            self.has_emitted = True
        if self._on_event is not None:
            self._on_event("delta", delta)

    def _pass_on(self, request: Request, completions: Sequence[Completion], on_event: OnStreamEvent) -> None:
        if request.role != "policy":
            on_event("event", {"event": "call", "role": request.role, "drawn": self._num_candidates})
            return

        num_before = self._num_candidates - len(completions)
        for i, completion in enumerate(completions):
            fields: dict[str, Json] = {"event": "candidate", "drawn": num_before + i + 1, "role": "policy"}
            event: StreamEvent = fields
            if self._wants_candidates:
                show = partial(completion_json, request.part(i, 1), completion, self._redact)
                event = CandidateEvent(fields, show)
            on_event("event" if completion.error is None else "failure", event)
