"""What a comparison of selectors says: a table of cells, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping

from nbest.evaluate.estimators import Estimate
from nbest.types import Usage, Value

MEAN = "mean"
"""A baseline that is no selector: the mean of the prompt's draws, what one of them at random is worth."""


class Tokens(Value, frozen=True, kw_only=True):
    """Mean tokens and calls per prompt."""

    prompt: float = 0.0
    cached: float = 0.0
    completion: float = 0.0
    calls: float = 0.0

    @property
    def total(self) -> float:
        """Input and output tokens, without what the engine had in its cache."""
        return self.prompt - self.cached + self.completion


class ComparisonCell(Value, frozen=True, kw_only=True):
    """One selector at one pool size, over the prompts of one language or of all."""

    select: str
    n: int
    language: str | None
    """None: all languages."""
    num_prompts: int
    num_orders: int
    """Pools per prompt that `value` averages over; 1 for whole pools."""
    value: Estimate
    """Mean score of the choice, over prompts."""
    gain: Estimate | None
    """Paired difference from the baseline at the same n; None for the baseline."""
    usage: Mapping[str, Tokens]
    """Mean spending per prompt by role: the candidates of the pool, and what the choice itself cost."""
    num_failed: int = 0
    """Choices that came to nothing; each scores what a failed draw of its pool does."""


class Comparison(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A table of cells, and how it was made."""

    score: str
    baseline: str
    seed: int
    num_prompts: int
    num_too_small: int
    """Prompts left out: fewer draws than the largest n."""
    num_unscored: int
    """Prompts left out: no gold answer or reference, or a draw without a score."""
    cells: tuple[ComparisonCell, ...]
    scoring: Mapping[str, Usage] = {}
    """What scoring the answers has spent now, by role: a judge that compares them with gold."""
