"""What is seen of a request while it is answered: for streams, for errors, for metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from nbest.accounting.tokens import BYTES_PER_TOKEN
from nbest.errors import EngineError
from nbest.text.language import likely_language
from nbest.types import (
    Candidate,
    Completion,
    Delta,
    Finish,
    Json,
    ReasoningDelta,
    Request,
    SamplingParams,
    ToolCall,
    ToolCallDelta,
)

StreamEvent = Delta | Mapping[str, Json]
Tell = Callable[[str, StreamEvent], object]
"""Hears ("event", what happened), ("failure", a candidate that is none) and ("text", a piece of the answer)."""


class GatewayObserver:
    """Keeps the errors and times of one request, and tells what happens to whoever listens."""

    def __init__(
        self, tell: Tell | None = None, *, wants_deltas: bool = False, wants_candidates: bool = False
    ) -> None:
        self.wants_deltas = wants_deltas
        self._wants_candidates = wants_candidates
        self._num_counted = 0
        self._num_bytes = 0
        """Heard of a text whose call has not come back."""
        self.errors: list[EngineError] = []
        self.first_s: float | None = None
        """Until the first text was drawn."""
        self.choice_s: float | None = None
        """From the last candidate to the choice."""
        self.has_emitted = False
        """Whether somebody heard a part of the answer, which can only be continued."""
        self._drawn_s: float | None = None
        self._tell = tell
        self._num_drawn = 0
        self._started = time.monotonic()

    @property
    def num_tokens(self) -> int:
        """Read and drawn so far, over all calls; of a text that was heard and broken off, by its length."""
        return self._num_counted - (-self._num_bytes // BYTES_PER_TOKEN)

    def on_completions(self, request: Request, completions: Sequence[Completion]) -> None:
        now = time.monotonic() - self._started
        if self.first_s is None:
            self.first_s = now
        if spent := sum(c.usage.prompt + c.usage.completion for c in completions):
            self._num_counted += spent
            self._num_bytes = 0
        if request.role == "policy":
            self._drawn_s = now
            self._num_drawn += len(completions)
        if self._tell is None:
            return
        if request.role != "policy":
            self._tell("event", {"event": "call", "role": request.role, "drawn": self._num_drawn})
            return
        first = self._num_drawn - len(completions)
        for i, completion in enumerate(completions):
            event: dict[str, Json] = {"event": "candidate", "drawn": first + i + 1, "role": "policy"}
            if self._wants_candidates:
                event["candidate"] = {**_completion(request.part(i, 1), completion), "id": None}
            self._tell("event" if completion.error is None else "failure", event)

    def on_error(self, request: Request, error: EngineError) -> None:
        self.errors.append(error)
        self._num_counted, self._num_bytes = self.num_tokens, 0  # nobody will say what was heard of it

    def chose(self) -> None:
        """The answer is there."""
        if self._drawn_s is not None:
            self.choice_s = time.monotonic() - self._started - self._drawn_s

    def on_delta(self, piece: Delta) -> None:
        if not isinstance(piece, ReasoningDelta):
            self.has_emitted = True
        text = piece.name + piece.arguments if isinstance(piece, ToolCallDelta) else _text(piece)
        self._num_bytes += len(text.encode(errors="replace"))
        if self._tell is not None:
            self._tell("text", piece)


def _text(piece: str | ReasoningDelta) -> str:
    return piece if isinstance(piece, str) else piece.text


def candidate_shown(candidate: Candidate, *, score: float | None, weight: float | None) -> dict[str, Json]:
    """A candidate as replies and events have it."""
    return {
        "id": candidate.id,
        "text": candidate.text,
        "finish": candidate.finish,
        "language": likely_language(candidate.text),
        "error": candidate.error,
        "engine": candidate.engine,
        "params": params_shown(candidate.params) if candidate.params else {},
        "usage": {"completion": candidate.usage.completion},
        "tool_calls": [_call(c) for c in candidate.tool_calls],
        "reasoning": candidate.reasoning,
        "parents": candidate.parents,
        "score": score,
        "weight": weight,
    }


def params_shown(params: SamplingParams) -> dict[str, Json]:
    """How a text was drawn: temperature and length, and what differs from the model's own distribution."""
    default = SamplingParams()
    return {
        name: value
        for name in ("temperature", "top_p", "top_k", "min_p", "max_tokens", "seed")
        if (value := getattr(params, name)) != getattr(default, name) or name in {"temperature", "max_tokens"}
    }


def _completion(request: Request, c: Completion) -> dict[str, Json]:
    return {
        "text": request.prefix + c.text,
        "finish": _finish(request, c),
        "language": likely_language(c.text),
        "error": c.error,
        "engine": c.engine,
        "params": params_shown(request.params),
        "usage": {"completion": c.usage.completion},
        "tool_calls": [_call(call) for call in c.tool_calls],
        "reasoning": c.reasoning,
    }


def _finish(request: Request, c: Completion) -> Finish:
    """As a search will read it (`Steps.read`), as far as one call tells: a part may be the answer's last."""
    said = request.prompt.overrides
    ends = {*request.params.stop} - {*(said.stop if said else ())}
    goes_on = c.stopped_by in ends or (c.finish == "length" and bool(c.text))
    return "step" if request.is_part and c.error is None and goes_on else c.finish


def _call(call: ToolCall) -> dict[str, Json]:
    return {"id": call.id, "name": call.name, "arguments": call.arguments}
