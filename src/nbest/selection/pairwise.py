"""Every candidate against every other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import fsum
from typing import ClassVar, Literal

import numpy as np

from nbest import registry
from nbest.context import Context
from nbest.demand import Demand, demand_of, total
from nbest.judging.bradley_terry import against_phantom
from nbest.judging.games import Game, play
from nbest.judging.judge_questions import Read, demand_of_questions
from nbest.judging.pools import distinct
from nbest.judging.templates import TemplateLanguage
from nbest.protocols import EngineName, Selector, ServerPath
from nbest.selection.mbr import Mbr
from nbest.selection.pool import argmax, chosen, usable
from nbest.types import Candidate, Prompt, SamplingParams, Selection, replace

_DIGITS = 6
"""Strengths that agree this far are a tie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePairwise:
    """A judge compares all pairs of distinct candidates, each in both orders: N·(N−1) calls.

    The protocol is Arena-Hard v2's (Li et al. 2024, arXiv 2406.11939): five grades, `>>` counts as three
    games, a tie and a game without a verdict as half a win each. `scores` are Bradley–Terry
    log-strengths, or shares of the points. Where not one game has a verdict, `fallback` chooses, noted.
    """

    is_open_to_clients: ClassVar[bool] = True

    judge: EngineName | None = None
    """Name of the engine that judges; without one the engine called "judge", else the policy itself."""
    ranking: Literal["bradley_terry", "points"] = "bradley_terry"
    fallback: Selector = field(default_factory=Mbr)
    temperature: float = 0.0
    """Of the judge's replies."""
    max_tokens: int = 2048
    """Of each of the judge's replies."""
    read: Read = "text"
    """How the verdict is read: text, grammar (structured output) or logprobs (see `judging.judge_calls`)."""
    template_language: TemplateLanguage = "en"
    templates: ServerPath | None = None
    """A template file, or a directory of them, instead of the ones that ship."""

    def __post_init__(self) -> None:
        SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)

    def demand(self, n: int, steps: int) -> Demand:
        num_games = n * (n - 1)
        return total(demand_of_questions(num_games, self.max_tokens, self.read), demand_of(self.fallback, n))

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        players = await distinct(pool)
        if len(players) == 1:
            return chosen(players[0])
        games = await play(
            list(combinations(players, 2)),
            prompt,
            ctx,
            judge=self.judge,
            params=SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens),
            read=self.read,
            template_language=self.template_language,
            templates=self.templates,
        )
        details = {"games": [g.record for g in games]}
        if all(g.reply.verdict is None for g in games):
            why = f"judge_pairwise: no game has a verdict; {registry.spec_of(self.fallback)} chose instead"
            ctx.fall_back(why)
            return replace(await self.fallback(prompt, pool, ctx), rationale=why, details=details)
        scores = strengths(games) if self.ranking == "bradley_terry" else point_shares(games)
        return replace(chosen(argmax(players, scores), scores=scores), details=details)


def point_shares(games: Sequence[Game]) -> dict[int, float]:
    """The share of the points that each candidate won in its own games."""
    won = _points(games)
    ids = sorted({i for pair in won for i in pair})
    total = {i: fsum(w for pair, w in won.items() if i in pair) for i in ids}
    return {i: round(fsum(w for (a, _), w in won.items() if a == i) / total[i], _DIGITS) for i in ids}


def strengths(games: Sequence[Game]) -> dict[int, float]:
    """Bradley–Terry log-strengths of the candidates (`against_phantom`).

    Candidates with the same results have the same strength to `_DIGITS` places.
    """
    won = _points(games)
    ids = sorted({i for pair in won for i in pair})
    won_SS = np.array([[won.get((i, j), 0.0) for j in ids] for i in ids])
    found = against_phantom(won_SS)
    return {i: round(float(strength), _DIGITS) for i, strength in zip(ids, found, strict=True)}


def _points(games: Sequence[Game]) -> dict[tuple[int, int], float]:
    """(winner, loser) → points, both games together."""
    won: dict[tuple[int, int], float] = {}
    for game in games:
        of_a, of_b = game.points
        a, b = game.a.id, game.b.id
        won[a, b] = won.get((a, b), 0.0) + of_a
        won[b, a] = won.get((b, a), 0.0) + of_b
    return won
