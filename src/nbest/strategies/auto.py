"""One dial for how much compute an answer may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, NamedTuple

from nbest.context import Context
from nbest.demand import Demand, demand_of
from nbest.plan.plan_file import Plan, read_plan
from nbest.protocols import ServerPath
from nbest.sampling.hedged import Hedged
from nbest.selection.mbr import Mbr
from nbest.selection.vote import Vote
from nbest.stops.bayes_factor import BayesFactor
from nbest.strategies.parallel import Parallel
from nbest.strategies.planned import Planned, first_draws
from nbest.text.extraction import extract_marked
from nbest.text.grading import final_answer
from nbest.types import Candidate, Prompt, Selection

Effort = Literal["low", "medium", "high"]


class _Limits(NamedTuple):
    """Draws at most."""

    votes: int
    """Of prompts that have a final answer, where the rule may stop earlier."""
    texts: int
    """Of prompts that have none."""


LIMITS: Final = {"low": _Limits(4, 4), "medium": _Limits(12, 8), "high": _Limits(32, 16)}
_FIRST: Final = 4
"""Draws before it is known whether there are final answers, and draws at once after that."""

_SHORT_LINE: Final = 120
"""Bytes in UTF-8: 40 characters of Chinese or Thai say about as much as 120 of English."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Auto:
    """As much compute as the prompt needs, up to a limit that `effort` sets: what to use where nothing else is known.

    With a plan (`file`), the budget of the plan at that effort (`planned`). Without one, a hedged pool is drawn four at
    a time. Where its draws have final answers, they vote, and drawing ends once the leading answer is certain
    (`bayes_factor`), at the latest after 4, 12 or 32 draws. Where they have none, as in translation or open questions, 4,
    8 or 16 draws are made, and the one most like the others wins (`mbr`).

    Raises `InputError` for a file that is missing or malformed.
    """

    is_open_to_clients: ClassVar[bool] = True

    effort: Effort = "medium"
    file: ServerPath | None = None
    """A plan, as `nbest fit plan` writes it."""
    max_tokens: int = 1024
    """Of each draw, at most; with a plan the plan's strategies say it."""

    def __post_init__(self) -> None:
        Hedged(max_tokens=self.max_tokens)

    def demand(self, n: int, steps: int) -> Demand:
        if self.file is not None:
            return demand_of(self._planned(self.file), n, steps)
        return demand_of(self._vote())

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        if self.file is not None:
            return await self._planned(self.file)(prompt, ctx)

        vote = self._vote()
        pilot = first_draws(vote.sampler(prompt, ctx.random("sample")), _FIRST)
        drawn = await ctx.sample(pilot, is_pilot=True)
        usable = [c for c in drawn if c.is_usable]
        num_final = sum(_has_final_answer(c, prompt) for c in usable)
        if 2 * num_final >= max(1, len(usable)):
            ctx.note(
                f"auto: effort {self.effort}, final answers → vote over at most {LIMITS[self.effort].votes}"
            )
            return await vote(prompt, ctx)
        ctx.note(f"auto: effort {self.effort}, no final answers → mbr over {LIMITS[self.effort].texts}")
        return await self._mbr()(prompt, ctx)

    def _planned(self, file: str) -> Planned:
        plan = read_plan(file)
        return Planned(file=file, budget=budget_at(plan, self.effort))

    def _vote(self) -> Parallel:
        sampler = Hedged(n=LIMITS[self.effort].votes, max_tokens=self.max_tokens)
        return Parallel(sampler=sampler, selector=Vote(), stop=BayesFactor(), wave=_FIRST)

    def _mbr(self) -> Parallel:
        sampler = Hedged(n=LIMITS[self.effort].texts, max_tokens=self.max_tokens)
        return Parallel(sampler=sampler, selector=Mbr())


def _has_final_answer(candidate: Candidate, prompt: Prompt) -> bool:
    """Whether it ends in a short line with a number, a formula, a choice or the like, in an answer that is marked as one, or
    in a tool call."""
    if candidate.tool_calls:
        return True
    answer = final_answer(candidate, prompt)
    if answer is None:
        return False
    if extract_marked(candidate.text, language=candidate.language or prompt.language) is not None:
        return True
    last_line = next(iter(candidate.text.strip().splitlines()[-1:]), "")
    is_short = len(last_line.encode("utf-8", "replace")) <= _SHORT_LINE
    return answer.kind != "text" and is_short


def budget_at(plan: Plan, effort: Effort) -> float:
    """The plan's budget at an effort; without one the smallest, middle or largest."""
    known = plan.efforts.get(effort)
    if known is not None:
        return known
    places = {"low": 0, "medium": len(plan.budgets) // 2, "high": len(plan.budgets) - 1}
    return plan.budgets[places[effort]]
