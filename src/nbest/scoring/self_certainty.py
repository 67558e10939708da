"""How far a model was from guessing: self-certainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, log
from typing import ClassVar

from nbest.context import Context
from nbest.scoring.recorded_logprobs import alternatives_of, check_top, mean
from nbest.types import Candidate, Prompt, Score

_LEAST_REST = 1e-12
"""Probability of all tokens that were not returned, where rounding leaves none for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCertainty:
    """Mean over tokens of KL(uniform ‖ p): how far from guessing the model was, in nats, 0 or more.

    Kang, Zhao and Song 2025 (arXiv 2502.18581), equation 4. The paper sums over the whole vocabulary;
    servers return the `top` likeliest tokens only. Without `vocabulary`, both distributions are cut to
    those tokens and p is made to sum to 1 again: comparable between candidates with equally many, not
    with the paper's values. With `vocabulary`, the rest of p is spread evenly over the other tokens, which is
    the least divergence it can have: a lower bound of the paper's value.

    A candidate of no tokens has no score. Raises `CapabilityError` where no candidate has alternatives.
    """

    is_open_to_clients: ClassVar[bool] = True

    top: int = 20
    """Alternatives per token; what servers give at most, often 20 (OpenAI, vLLM), sometimes 5."""
    vocabulary: int | None = None
    """Tokens that the model knows."""

    def __post_init__(self) -> None:
        check_top(self.top)
        if self.vocabulary is not None and self.vocabulary <= self.top:
            raise ValueError(f"vocabulary={self.vocabulary} must be more than top={self.top}")

    @property
    def logprobs_needed(self) -> int:
        return self.top

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        recorded = alternatives_of(prompt, candidates, self.top)
        return [Score(value=mean([self._divergence(v) for v in places])) for places in recorded]

    def _divergence(self, logprobs: Sequence[float]) -> float:
        """KL(uniform ‖ p) at one place, from the log-probabilities of its likeliest tokens."""
        k, mass = len(logprobs), fsum(exp(v) for v in logprobs)
        if self.vocabulary is None or k >= self.vocabulary:
            return log(mass) - log(k) - fsum(logprobs) / k
        num_rest = self.vocabulary - k
        rest = log(max(1 - mass, _LEAST_REST) / num_rest)
        return -log(self.vocabulary) - (fsum(logprobs) + num_rest * rest) / self.vocabulary
