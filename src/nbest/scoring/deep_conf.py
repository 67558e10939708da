"""How sure a model was of the weakest part, or of the end, of its answer: DeepConf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.scoring.recorded_logprobs import alternatives_of, check_top, mean
from nbest.types import Candidate, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepConf:
    """Confidence of the weakest part, or of the end, of a chain of thought.

    DeepConf (Fu et al. 2025, arXiv 2508.15260). A token's confidence is −1/k Σ log p over its k likeliest
    tokens, in nats: high where the others are unlikely. A group is `window` tokens in a row (all of them
    in a shorter text), and its confidence their mean. `lowest_group`: the least group; `bottom`: the mean
    of the least 10 % of groups; `tail`: the last group; `mean`: all tokens. Candidates with equally
    many alternatives are comparable.

    A candidate of no tokens has no score. Raises `CapabilityError` where no candidate has alternatives.
    """

    is_open_to_clients: ClassVar[bool] = True

    measure: Literal["lowest_group", "bottom", "tail", "mean"] = "tail"
    window: int = 2048
    """Tokens of a group; the paper's value, for chains of many thousands."""
    top: int = 20
    """Alternatives per token, the paper's k."""
    share: float = 0.1
    """bottom: the share of groups that counts, at least one group."""

    def __post_init__(self) -> None:
        check_top(self.top)
        if self.window < 1:
            raise ValueError(f"window must be at least 1 token, got {self.window}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")

    @property
    def logprobs_needed(self) -> int:
        return self.top

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        recorded = alternatives_of(prompt, candidates, self.top)
        return [Score(value=self._value([-fsum(v) / len(v) for v in places])) for places in recorded]

    def _value(self, confidences: Sequence[float]) -> float | None:
        match self.measure:
            case "mean":
                return mean(confidences)
            case "tail":
                return mean(confidences[-self.window :])
            case "lowest_group":
                return min(_group_means(confidences, self.window), default=None)
            case "bottom":
                groups = sorted(_group_means(confidences, self.window))
                return mean(groups[: max(1, int(len(groups) * self.share))])


def _group_means(values: Sequence[float], window: int) -> list[float]:
    """Mean of every `window` values in a row; of all where there are fewer; none of none."""
    if len(values) <= window:
        whole = mean(values)
        if whole is None:
            return []
        return [whole]

    # Differences of partial sums: a chain of 100k tokens is gone through once.
    sums, total = [0.0], 0.0
    for value in values:
        total += value
        sums.append(total)
    return [(sums[i + window] - sums[i]) / window for i in range(len(values) - window + 1)]
