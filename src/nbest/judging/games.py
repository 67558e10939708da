"""Pairwise judging: two games per pair, order swapped (the protocol of Arena-Hard v2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nbest.context import Context
from nbest.judging.judge_calls import Reply, ask, question
from nbest.judging.templates import TemplateLanguage
from nbest.judging.verdicts import POINTS, Grade, grade
from nbest.types import Candidate, Json, Prompt, SamplingParams


class Game(NamedTuple):
    """One comparison. Without a verdict it counts as a tie."""

    a: Candidate
    b: Candidate
    reply: Reply[Grade]

    @property
    def points(self) -> tuple[float, float]:
        """Of `a` and of `b`."""
        return POINTS[self.reply.verdict or "A=B"]

    @property
    def record(self) -> dict[str, Json]:
        """For `Selection.details`."""
        return {"a": self.a.id, "b": self.b.id, "verdict": self.reply.verdict, **self.reply.record}


async def play(
    pairs: Sequence[tuple[Candidate, Candidate]],
    prompt: Prompt,
    ctx: Context,
    *,
    judge: str | None,
    max_tokens: int,
    template_language: TemplateLanguage,
    templates: str | None,
) -> list[Game]:
    """Both games of every pair, all at once, in order: (a, b), (b, a), …

    Li et al. 2024, arXiv 2406.11939: five grades, the last verdict of a reply counts. Games without a
    verdict are noted. Raises `InputError` for a template that cannot be used.
    """
    seats = [seat for a, b in pairs for seat in ((a, b), (b, a))]
    questions = [
        question(
            "pairwise",
            prompt,
            {"A": a.text, "B": b.text},
            ctx,
            role="judge",
            engine=judge,
            params=SamplingParams(temperature=0.0, max_tokens=max_tokens),
            template_language=template_language,
            templates=templates,
            read=grade,
        )
        for a, b in seats
    ]
    games = [Game(a, b, r) for (a, b), r in zip(seats, await ask(questions, ctx), strict=True)]
    if problems := [g.reply.problem for g in games if g.reply.verdict is None]:
        ctx.note(f"{len(problems)} of {len(games)} judged games counted as ties; the first: {problems[0]}")
    return games
