"""What calls have drawn that are cut before they return: by a quorum, a stop, a deadline, a client that has gone.

No server reports the usage of such a call. The engine that made it knows most: how long it ran, how fast calls like
it were, and, where the reply is streamed, how much of it came. So an engine opens a call with `open_call`, and one
that does not return is estimated and put into the `CutUsage` of whoever waits for it, through whatever layers
(retries, hedges, failover) lie between. Engines that do so set `Capabilities.counts_cut`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from statistics import median

from nbest.accounting.tokens import estimated_tokens, prompt_tokens
from nbest.errors import EngineTimeoutError
from nbest.types import Completion, Request, Usage

ASSUMED_TOKENS_PER_S = 50.0
"""Of a draw, where no call has returned yet that tells how fast the engine is."""
_NUM_REMEMBERED = 8
_LEAST_S = 1e-3


class CutUsage:
    """Collects the estimated usage of calls that were cut."""

    def __init__(self, *, is_precise: bool) -> None:
        """`is_precise`: calls are likely to be cut, so engines that can should count tokens as they are drawn."""
        self.is_precise = is_precise
        self.usage = Usage()


_collector: ContextVar[CutUsage | None] = ContextVar("_collector", default=None)


@contextmanager
def cut_usage(*, is_precise: bool) -> Generator[CutUsage]:
    """Collects what calls that are made inside the block, and are cut, had drawn."""
    collector = CutUsage(is_precise=is_precise)
    token = _collector.set(collector)
    try:
        yield collector
    finally:
        _collector.reset(token)


def wants_precision() -> bool:
    """Whether the caller's call is likely to be cut, so that its tokens should be counted as they are drawn."""
    collector = _collector.get()
    return collector is not None and collector.is_precise


@dataclass(slots=True)
class Pace:
    """How fast an engine draws, from the calls that returned lately."""

    _tokens_per_s: deque[float] = field(default_factory=lambda: deque(maxlen=_NUM_REMEMBERED))
    _tokens_per_event: deque[float] = field(default_factory=lambda: deque(maxlen=_NUM_REMEMBERED))

    @property
    def tokens_per_s(self) -> float:
        """Of one draw."""
        return median(self._tokens_per_s) if self._tokens_per_s else ASSUMED_TOKENS_PER_S

    @property
    def tokens_per_event(self) -> float:
        """Of a streamed reply: servers send several tokens at once under load, and where a character has several."""
        return median(self._tokens_per_event) if self._tokens_per_event else 1.0

    def learn(self, seconds: float, completions: Sequence[Completion], num_events: int) -> None:
        """A call returned after so long; `num_events` is 0 where it was not streamed."""
        longest = max((c.usage.completion for c in completions), default=0)
        if not longest:
            return
        self._tokens_per_s.append(longest / max(seconds, _LEAST_S))
        if num_events:
            self._tokens_per_event.append(sum(c.usage.completion for c in completions) / num_events)


@dataclass(slots=True)
class OpenCall:
    """One call under way, and what is known of it."""

    request: Request
    num_events: int = 0
    """Events of a streamed reply so far, each of about one token."""
    num_drawn: int | None = None
    """Output tokens so far, where the server says it."""
    num_prompt: int | None = None
    """Input tokens, where the server has said it."""
    num_cached: int = 0
    _started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def estimate(self, pace: Pace) -> Usage:
        """What it has cost so far. The whole counts as estimated, since the server may draw on for a while."""
        request = self.request
        num_most = request.n * request.params.max_tokens
        num_drawn = self.num_drawn
        if num_drawn is None and self.num_events:
            num_drawn = round(self.num_events * pace.tokens_per_event)
        if num_drawn is None:
            num_drawn = request.n * round(self.seconds * pace.tokens_per_s)
        num_drawn = min(num_drawn, num_most)

        num_prompt = self.num_prompt
        if num_prompt is None:
            num_prompt = prompt_tokens(request.prompt) + estimated_tokens(request.prefix)
        return Usage(
            prompt=num_prompt,
            cached=min(self.num_cached, num_prompt),
            completion=num_drawn,
            calls=1,
            estimated_prompt=num_prompt,
            estimated_completion=num_drawn,
        )


@contextmanager
def open_call(request: Request, pace: Pace) -> Generator[OpenCall]:
    """A call that an engine makes inside the block. One that is cancelled there, runs into its time limit, or breaks
    off in the middle of a stream is estimated and collected. `pace` is the engine's own."""
    call = OpenCall(request)
    try:
        yield call
    except BaseException as e:
        was_drawing = call.num_events > 0 or not isinstance(e, Exception) or isinstance(e, EngineTimeoutError)
        collector = _collector.get()
        if collector is not None and was_drawing:
            collector.usage += call.estimate(pace)
        raise
