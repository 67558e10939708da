"""Ground truth as a verifier: what a perfect selector would reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbest.context import Context
from nbest.protocols import PluginSpec
from nbest.scoring.gold_answer import gold_of, grader_of, truth
from nbest.scoring.rollouts import is_partial
from nbest.types import Candidate, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """1 for a right final answer, else 0: an upper bound, never a method.

    An unfinished candidate of a search is read as if it were an answer, with a note. The prompt's row must have an `answer`;
    raises `CapabilityError` where it has none.
    """

    is_open_to_clients: ClassVar[bool] = False

    grader: PluginSpec | None = None
    """How answers are compared with gold, instead of the row's `grader`: answer (equivalence of final answers,
    the default), exact, contains, regex, or a function of your own as `module:function` or `file.py:function`."""

    def __post_init__(self) -> None:
        grader_of(self.grader)

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        gold = gold_of(prompt, ctx)
        if any(map(is_partial, candidates)):
            ctx.note(
                "oracle: steps of a search are read as final answers, and are mostly 0: search with"
                "  oracle_rollouts  or  noisy_oracle(auc=1.0)"
            )
        grader = grader_of(self.grader)
        return [Score(value=truth(c, prompt, gold, grader=grader)) for c in candidates]
