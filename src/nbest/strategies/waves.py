"""Drawing in waves until a stopping rule says that it is enough."""

from __future__ import annotations

from collections.abc import Sequence

from nbest.context import Context
from nbest.errors import EngineError
from nbest.plan.features import Features, features_of
from nbest.protocols import Scorer, Stop
from nbest.registry import spec_of
from nbest.text.answer_classes import answer_classes
from nbest.types import Candidate, Prompt, Request, Score


async def draw_in_waves(
    stop: Stop, wave: int, requests: Sequence[Request], prompt: Prompt, ctx: Context
) -> list[Candidate]:
    """The draws of `requests`, `wave` of them at a time, until `stop` or the last one.

    The rule is asked each time that draws have come. When it stops, calls under way are cancelled, and what they would
    have drawn are candidates with `error`; draws of later waves are never made. `ctx.stopped` and a note then say so.
    Where answers cannot be compared, all are drawn.
    """
    watch = _Watch(stop, prompt, ctx)
    draws = [request.part(i, 1) for request in requests for i in range(request.n)]
    for start in range(0, len(draws), wave):
        part = draws[start : start + wave]
        watch.pool += await ctx.sample(part, until=watch.is_enough)
        if watch.has_stopped:
            num_left = len(draws) - watch.num_seen
            if num_left:
                ctx.note(f"{spec_of(stop)} stopped after {watch.num_seen} of {len(draws)} draws")
                ctx.stopped = "stop" if ctx.stopped == "done" else ctx.stopped
            break
        if len(watch.pool) < start + len(part):  # the budget forbids more
            break
    return watch.pool


class _Watch:
    """Asks a rule about the draws that are there."""

    def __init__(self, stop: Stop, prompt: Prompt, ctx: Context) -> None:
        self._stop, self._prompt, self._ctx = stop, prompt, ctx
        self._scorer: Scorer | None = getattr(stop, "scorer", None)
        self._score_by_id: dict[int, Score] = {}
        self.pool: list[Candidate] = []
        """Of earlier waves."""
        self.num_seen = 0
        self.has_stopped = False

    async def is_enough(self, arrived: Sequence[Candidate]) -> bool:
        """Whether the rule stops after the earlier waves and the draws of this one that have `arrived`."""
        seen = [*self.pool, *arrived]
        self.num_seen = len(seen)
        features = await self._features(seen)
        self.has_stopped = features is not None and self._stop(features)
        return self.has_stopped

    async def _features(self, seen: Sequence[Candidate]) -> Features | None:
        """None where answers cannot be compared."""
        try:
            keys = await answer_classes(seen, self._prompt, seconds=self._ctx.seconds_left)
        except EngineError as e:
            self._ctx.note(f"{spec_of(self._stop)} was not asked, since answers were not compared: {e}")
            return None
        scores = await self._scores(seen)
        return features_of(seen, keys, prompt=self._prompt, scores=scores)

    async def _scores(self, seen: Sequence[Candidate]) -> list[float | None]:
        """Of the rule's own scorer, which is asked once per draw; empty without one."""
        if self._scorer is None:
            return []
        new = [c for c in seen if c.is_usable and c.id not in self._score_by_id]
        if new:
            scores = await self._ctx.score(self._scorer, self._prompt, new)
            self._score_by_id.update({c.id: score for c, score in zip(new, scores, strict=True)})
        unknown = Score(value=None)
        return [self._score_by_id.get(c.id, unknown).value for c in seen]
