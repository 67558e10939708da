"""Ground truth, to learn what a perfect selector would reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbest.answers import equivalent, extract
from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.types import Candidate, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """1 for a right final answer, else 0: an upper bound, never a method.

    The prompt's row must have an `answer`; raises `CapabilityError` where it has none.
    """

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        gold = ctx.gold.get("answer")
        if gold is None:
            raise CapabilityError(
                f"prompt {prompt.id!r} has no gold answer: the oracle needs `answer` in its row"
            )
        return [
            Score(value=float(equivalent(extract(c.text, language=prompt.language), str(gold))))
            for c in candidates
        ]
