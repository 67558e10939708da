"""What happens while one request is answered: for its stream, for errors, for metrics and limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from nbest.accounting.meter import Meter, total
from nbest.accounting.tokens import BYTES_PER_TOKEN, prompt_tokens
from nbest.errors import EngineError
from nbest.serve.candidate_json import completion_json
from nbest.serve.redaction import Redact
from nbest.types import Completion, Delta, Json, ReasoningDelta, Request, ToolCallDelta, Usage

EventKind = Literal["event", "failure", "delta"]
StreamEvent = Delta | Mapping[str, Json]
OnStreamEvent = Callable[[EventKind, StreamEvent], object]
"""Takes ("event", what happened), ("failure", a candidate that failed) and ("delta", a part of the answer)."""


_ASSUMED_TOKENS_PER_S = 50.0
"""Of a draw, where none is there yet that tells how fast the model writes."""
_LEAST_S = 1e-3


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
        self._meter = Meter()
        """Of the calls that came back or were cut."""
        self._num_bytes = 0
        """Streamed by a call that has not come back."""
        self._tokens_per_s = 0.0
        """Of the fastest draw so far."""
        self._num_candidates = 0
        self._last_candidate_s: float | None = None
        self._started = time.monotonic()

    @property
    def num_tokens(self) -> int:
        """Input and output tokens so far, over all calls; of a call that was broken off, by its text's length."""
        spent = total(self.usage)
        return spent.prompt + spent.completion

    @property
    def usage(self) -> Mapping[str, Usage]:
        """By role so far: what an outcome has, and besides the estimated part of calls that were broken off."""
        spent = dict(self._meter.usage)
        if self._num_bytes:
            streamed = Usage(completion=_tokens_of(self._num_bytes))
            spent["policy"] = spent.get("policy", Usage()) + streamed
        return spent

    def on_completions(self, request: Request, completions: Sequence[Completion]) -> None:
        now = time.monotonic() - self._started
        if self.first_s is None:
            self.first_s = now

        longest = max((c.usage.completion for c in completions), default=0)
        self._tokens_per_s = max(self._tokens_per_s, longest / max(now, _LEAST_S))
        self._meter.count(request.role, completions)
        if any(c.usage.prompt + c.usage.completion for c in completions):
            self._num_bytes = 0

        if request.role == "policy":
            self._last_candidate_s = now
            self._num_candidates += len(completions)
        if self._on_event is not None:
            self._pass_on(request, completions, self._on_event)

    def on_error(self, request: Request, error: EngineError) -> None:
        self.errors.append(error)
        # Nothing more will be known of what this call has streamed.
        self._meter.add("policy", Usage(completion=_tokens_of(self._num_bytes)))
        self._num_bytes = 0

    def on_cut(self, request: Request, seconds: float) -> None:
        """Counts the prompt of a cancelled call, and what its draws wrote: as streamed, or as fast as others wrote."""
        num_written = 0
        if not self._num_bytes:
            tokens_per_s = self._tokens_per_s or _ASSUMED_TOKENS_PER_S
            num_written = min(request.params.max_tokens, round(seconds * tokens_per_s)) * request.n
        num_prompt = prompt_tokens(request.prompt)
        self._meter.add(request.role, Usage(prompt=num_prompt, completion=num_written, calls=1))

    def on_chosen(self) -> None:
        """There is an answer."""
        if self._last_candidate_s is not None:
            self.choice_s = time.monotonic() - self._started - self._last_candidate_s

    def on_delta(self, delta: Delta) -> None:
        if not isinstance(delta, ReasoningDelta):
            self.has_emitted = True
        self._num_bytes += len(_text_of(delta).encode(errors="replace"))
        if self._on_event is not None:
            self._on_event("delta", delta)

    def _pass_on(self, request: Request, completions: Sequence[Completion], on_event: OnStreamEvent) -> None:
        if request.role != "policy":
            on_event("event", {"event": "call", "role": request.role, "drawn": self._num_candidates})
            return

        num_before = self._num_candidates - len(completions)
        for i, completion in enumerate(completions):
            event: dict[str, Json] = {"event": "candidate", "drawn": num_before + i + 1, "role": "policy"}
            if self._wants_candidates:
                event["candidate"] = completion_json(request.part(i, 1), completion, self._redact)
            on_event("event" if completion.error is None else "failure", event)


def _text_of(delta: Delta) -> str:
    match delta:
        case ToolCallDelta():
            return delta.name + delta.arguments
        case ReasoningDelta():
            return delta.text
        case _:
            return delta


def _tokens_of(num_bytes: int) -> int:
    """An estimate, rounded up."""
    return -(-num_bytes // BYTES_PER_TOKEN)
