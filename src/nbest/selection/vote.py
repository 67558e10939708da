"""Self-consistency: the answer that most candidates agree on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, fsum
from typing import ClassVar

from nbest.context import Context
from nbest.protocols import Scorer
from nbest.selection.pool import argmax, chosen, usable
from nbest.text import answer_keys
from nbest.text.grading import final_answer
from nbest.types import Candidate, Prompt, Selection

_MAX_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """Self-consistency (arXiv 2203.11171) over equivalent final answers, in any script; tool calls are
    equivalent by name and canonical arguments.

    JSON objects are equivalent by their fields, but for those that no two candidates agree in (reasoning).

    With a scorer, a class weighs the sum of its scores: best-of-N weighted (arXiv 2408.03314, §5).
    With `power` as well, it weighs the sum of (N − r + 1)^power over its members' ranks r by score:
    Borda by confidence (arXiv 2502.18581). Equal classes: the one with the lowest id. The winner is the
    lowest id in its class, or with a scorer the best scored, of those that `max_tokens` did not cut where
    there are any. Candidates without a final answer form no class, and win only where nobody has one.
    `scores` are the votes for each candidate's class. Where any score is below zero, scores are taken for logarithms
    (of probabilities; of Bradley–Terry strengths, as reward models give them): a candidate weighs exp(score − highest).
    Scores that are all 0 weigh 1 each.
    """

    is_open_to_clients: ClassVar[bool] = True

    weight: Scorer | None = None
    power: float | None = None

    def __post_init__(self) -> None:
        if self.power is not None and (self.weight is None or self.power < 0):
            raise ValueError("power needs a weight to rank by, and is 0 or more")

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        scores = await self._scores(prompt, pool, ctx)
        votes = self._votes(scores, ctx)
        keys = answer_keys(pool, lambda c: final_answer(c, prompt))
        members: dict[str | int, list[Candidate]] = {}
        for candidate, key in zip(pool, keys, strict=True):
            members.setdefault(candidate.id if key is None else key, []).append(candidate)
        totals = {key: fsum(votes[c.id] for c in group) for key, group in members.items()}
        best = max(members, key=lambda k: (isinstance(k, str), totals[k], -members[k][0].id))
        return chosen(
            argmax([c for c in members[best] if c.finish != "length"] or members[best], scores),
            weights={c.id: votes[c.id] if c in members[best] else 0.0 for c in pool},
            scores={c.id: totals[key] for key, group in members.items() for c in group},
            rationale=_rationale(best, totals, None if self.weight is None else members),
        )

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
        if least < most and least < 0:
            # A sum of negative scores would count agreement against an answer.
            ctx.note("vote: scores below zero are taken for logarithms, and weigh exp(score − highest)")
        return {i: exp(s - most) for i, s in scores.items()} if least < 0 or most == 0 else scores


def _rationale(
    best: str | int,
    totals: Mapping[str | int, float],
    members: Mapping[str | int, Sequence[Candidate]] | None,
) -> str:
    """The winning answer and its votes, then the others, most voted first: `42: 3 · 41: 1`.

    With `members`, how many candidates these votes are the weight of: `42: 1.7 (3×) · 41: 0.9 (1×)`.
    """
    if isinstance(best, int):
        return "∅"
    others = [(k, v) for k, v in totals.items() if isinstance(k, str) and k != best]
    others.sort(key=lambda kv: (-kv[1], kv[0]))
    unanswered = sum(isinstance(k, int) for k in totals)
    shown = [(best, totals[best]), *others[:_MAX_SHOWN]]
    parts = [f"{_short(k)}: {v:.4g}{f' ({len(members[k])}×)' if members else ''}" for k, v in shown]
    parts += ["…"] * (len(others) > _MAX_SHOWN) + [f"∅: {unanswered}"] * (unanswered > 0)
    return " · ".join(parts)


def _short(key: str) -> str:
    return key if len(key) <= 40 else key[:39] + "…"  # noqa: PLR2004
