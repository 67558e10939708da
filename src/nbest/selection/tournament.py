"""Knock-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import ClassVar

from nbest import registry
from nbest.context import Context
from nbest.demand import Demand, demand_of, total
from nbest.judging.games import Game, play
from nbest.judging.judge_questions import Read, demand_of_questions
from nbest.judging.pools import distinct, shuffled
from nbest.judging.templates import TemplateLanguage
from nbest.protocols import EngineName, Selector, ServerPath
from nbest.selection.mbr import Mbr
from nbest.selection.pool import chosen, usable
from nbest.types import Candidate, Prompt, SamplingParams, Selection, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Tournament:
    """A knock-out of the distinct candidates, drawn with the seed: 2·(N−1) judge calls.

    Each match is two games with the order swapped, graded as in `judge_pairwise`; more points win, and
    equal points let the lower id through. Matches of a round are judged at once; of an odd number
    the last goes through unplayed. `scores` count the matches won. Where not one game has a verdict,
    `fallback` chooses, noted.
    """

    is_open_to_clients: ClassVar[bool] = True

    judge: EngineName | None = None
    """Name of the engine that judges; without one the engine called "judge", else the policy itself."""
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
        num_games = 2 * max(0, n - 1)
        return total(demand_of_questions(num_games, self.max_tokens, self.read), demand_of(self.fallback, n))

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        standing = shuffled(await distinct(pool), ctx)
        if len(standing) == 1:
            return chosen(standing[0])
        wins = dict.fromkeys(sorted(c.id for c in standing), 0.0)
        games: list[Game] = []
        while len(standing) > 1:
            matches = list(zip(standing[::2], standing[1::2], strict=False))
            played = await play(
                matches,
                prompt,
                ctx,
                judge=self.judge,
                params=SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens),
                read=self.read,
                template_language=self.template_language,
                templates=self.templates,
            )
            games += played
            unplayed = standing[2 * len(matches) :]
            standing = [winner_of(*both) for both in zip(played[::2], played[1::2], strict=True)]
            for winner in standing:
                wins[winner.id] += 1
            standing += unplayed
        details = {"games": [g.record for g in games]}
        if all(g.reply.verdict is None for g in games):
            why = f"tournament: no game has a verdict; {registry.spec_of(self.fallback)} chose instead"
            ctx.fall_back(why)
            return replace(await self.fallback(prompt, pool, ctx), rationale=why, details=details)
        return replace(chosen(standing[0], scores=wins), details=details)


def winner_of(game: Game, swapped: Game) -> Candidate:
    """More points over both games; of equals the lower id."""
    of_a = fsum((game.points[0], swapped.points[1]))
    of_b = fsum((game.points[1], swapped.points[0]))
    if of_a == of_b:
        return min(game.a, game.b, key=lambda c: c.id)
    return game.a if of_a > of_b else game.b
