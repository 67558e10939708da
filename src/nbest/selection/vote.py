"""Self-consistency: the answer that most candidates agree on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, fsum
from typing import ClassVar

from nbest.context import Context
from nbest.errors import EngineError
from nbest.protocols import Pattern, Scorer
from nbest.selection.pool import argmax, chosen, usable
from nbest.text.answer_classes import answer_classes
from nbest.text.grading import check_pattern
from nbest.types import Candidate, Prompt, Selection

_MAX_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """Self-consistency (arXiv 2203.11171) over equivalent final answers, in any script; tool calls are
    equivalent by name and canonical arguments.

    JSON objects are equivalent by their fields, but for those that no two candidates agree in (reasoning).

    With a scorer, a class weighs the sum of its scores: best-of-N weighted (arXiv 2408.03314, §5).
    With `power` as well, it weighs the sum of (N − r + 1)^power over its members' ranks r by score: Borda by
    confidence (arXiv 2502.18581), equal scores sharing the better rank. Equal classes: the one with the lowest id.
    The winner is the lowest id in its class, or with a scorer the best scored, of those that `max_tokens` did not cut where
    there are any. Candidates without a final answer form no class, and win only where nobody has one.
    `scores` are the votes for each candidate's class. Where any score is below zero, scores are taken for logarithms
    (of probabilities; of Bradley–Terry strengths, as reward models give them): a candidate weighs exp(score − highest).
    Scores that are all 0 weigh 1 each.

    Where answers cannot be compared before the deadline, the best scored candidate wins, or the first, with a note.
    """

    is_open_to_clients: ClassVar[bool] = True

    weight: Scorer | None = None
    power: float | None = None
    extract: Pattern | Mapping[str, Pattern] | None = None
    """A regular expression whose last match (its first group, if it has one) is the final answer; or one by task."""

    def __post_init__(self) -> None:
        patterns = self.extract.values() if isinstance(self.extract, Mapping) else [self.extract]
        for pattern in patterns:
            if pattern is not None:
                check_pattern(pattern)
        if self.power is not None and (self.weight is None or self.power < 0):
            raise ValueError("power needs a weight to rank by, and is 0 or more")

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        scores = await self._scores(prompt, pool, ctx)
        votes = self._votes(scores, ctx)
        pattern = self._pattern_for(prompt)
        try:
            keys = await answer_classes(pool, prompt, seconds=ctx.seconds_left, pattern=pattern)
        except EngineError as e:
            ctx.fall_back(
                f"vote: no answers were compared, so the best scored or first candidate was chosen: {e}"
            )
            return chosen(argmax(pool, scores))
        members: dict[str | int, list[Candidate]] = {}
        for candidate, key in zip(pool, keys, strict=True):
            members.setdefault(candidate.id if key is None else key, []).append(candidate)
        totals = {key: fsum(votes[c.id] for c in group) for key, group in members.items()}
        best = max(members, key=lambda k: (isinstance(k, str), totals[k], -members[k][0].id))
        whole = [c for c in members[best] if c.finish != "length"]
        return chosen(
            argmax(whole or members[best], scores),
            weights=dict.fromkeys(votes, 0.0) | {c.id: votes[c.id] for c in members[best]},
            scores={c.id: totals[key] for key, group in members.items() for c in group},
            rationale=self._rationale(best, totals, members),
        )

    def _pattern_for(self, prompt: Prompt) -> str | None:
        if isinstance(self.extract, Mapping):
            return self.extract.get(prompt.task or "")
        return self.extract

    async def _scores(self, prompt: Prompt, pool: Sequence[Candidate], ctx: Context) -> Mapping[int, float]:
        """By id; unscored candidates get the least score."""
        if self.weight is None:
            return {c.id: 1.0 for c in pool}
        values = [s.value for s in await ctx.score(self.weight, prompt, pool)]
        least = min((v for v in values if v is not None), default=0.0)
        return {c.id: least if v is None else v for c, v in zip(pool, values, strict=True)}

    def _votes(self, scores: Mapping[int, float], ctx: Context) -> Mapping[int, float]:
        if self.power is not None:
            ranks = {i: 1 + sum(other > s for other in scores.values()) for i, s in scores.items()}
            return {i: float((len(scores) - r + 1) ** self.power) for i, r in ranks.items()}

        least, most = min(scores.values()), max(scores.values())
        if least >= 0 and most > 0:
            return scores
        if least < most:
            # A sum of negative scores would count agreement against an answer.
            ctx.note("vote: scores below zero are taken for logarithms, and weigh exp(score − highest)")
        return {i: exp(s - most) for i, s in scores.items()}

    def _rationale(
        self,
        best: str | int,
        totals: Mapping[str | int, float],
        members: Mapping[str | int, Sequence[Candidate]],
    ) -> str:
        """The winning answer and its votes, then the others, most voted first: `42: 3 · 41: 1`.

        Where votes are weighted, also of how many candidates: `42: 1.7 (3×) · 41: 0.9 (1×)`.
        """
        if isinstance(best, int):
            return "∅"

        others = sorted(
            (-total, key) for key, total in totals.items() if isinstance(key, str) and key != best
        )
        parts: list[str] = []
        for key in (best, *(key for _, key in others[:_MAX_SHOWN])):
            votes = f"{_short(key)}: {totals[key]:.4g}"
            if self.weight is not None:
                votes += f" ({len(members[key])}×)"
            parts.append(votes)

        if len(others) > _MAX_SHOWN:
            parts.append("…")
        num_unanswered = sum(isinstance(key, int) for key in totals)
        if num_unanswered:
            parts.append(f"∅: {num_unanswered}")
        return " · ".join(parts)


def _short(key: str) -> str:
    return key if len(key) <= 40 else key[:39] + "…"  # noqa: PLR2004
