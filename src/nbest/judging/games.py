"""Pairwise judging: two games per pair, order swapped (the protocol of Arena-Hard v2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import fsum
from typing import NamedTuple

from nbest.context import Context
from nbest.judging.judge_calls import ask
from nbest.judging.judge_questions import Read, Reply, question
from nbest.judging.templates import TemplateLanguage
from nbest.judging.verdict_forms import GRADES
from nbest.judging.verdict_text import POINTS, Grade
from nbest.offload import spaced
from nbest.text.reasoning import answer_text
from nbest.types import Candidate, Json, Prompt, SamplingParams


class Game(NamedTuple):
    """One comparison. Without a verdict it counts as a tie."""

    a: Candidate
    b: Candidate
    reply: Reply[Grade]

    @property
    def points(self) -> tuple[float, float]:
        """Of `a` and of `b`; expected points, where the judge's probabilities are known."""
        probabilities = self.reply.probabilities
        if probabilities is None:
            return POINTS[self.reply.verdict or "A=B"]
        of_a = fsum(p * POINTS[grade][0] for grade, p in probabilities.items())
        of_b = fsum(p * POINTS[grade][1] for grade, p in probabilities.items())
        return of_a, of_b

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
    params: SamplingParams,
    read: Read,
    template_language: TemplateLanguage,
    templates: str | None,
) -> list[Game]:
    """Both games of every pair, all at once, in order: (a, b), (b, a), …

    Li et al. 2024, arXiv 2406.11939: five grades, the last verdict of a reply counts. Games without a
    verdict are noted. Raises `InputError` for a template that cannot be used.
    """
    seats = list(chain.from_iterable(((a, b), (b, a)) for a, b in pairs))
    questions = [
        question(
            "pairwise",
            prompt,
            {"A": answer_text(a.text), "B": answer_text(b.text)},
            ctx,
            role="judge",
            engine=judge,
            params=params,
            template_language=template_language,
            templates=templates,
            form=GRADES,
        )
        async for a, b in spaced(seats)
    ]
    replies = await ask(questions, ctx, read=read)
    games = [Game(a, b, r) for (a, b), r in zip(seats, replies, strict=True)]
    problems = [g.reply.problem for g in games if g.reply.verdict is None]
    if problems:
        ctx.note(f"{len(problems)} of {len(games)} judged games counted as ties; the first: {problems[0]}")
    return games
