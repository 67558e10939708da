"""Adaptive-Consistency: stop once the leading answer is probably ahead of the second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nbest.plan.features import Features
from nbest.plan.posterior import p_beats_second


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveConsistency:
    """Stops where the leading answer is ahead with enough confidence (Aggarwal et al. 2023, arXiv 2305.11860).

    P(p₁ > p₂) ≥ confidence under Beta(v₁ + 1, v₂ + 1), for the votes v₁ and v₂ of the two most frequent answers: the
    paper's Beta criterion. Draws without an answer have no vote; without a vote it goes on.
    """

    is_open_to_clients: ClassVar[bool] = True
    reads_counts_only: ClassVar[bool] = True

    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:  # noqa: PLR2004
            raise ValueError(f"confidence must be at least 0.5 and below 1, got {self.confidence:g}")

    def __call__(self, features: Features) -> bool:
        if not features.counts:
            return False
        first, second = (*features.counts, 0)[:2]
        return bool(p_beats_second(first, second) >= self.confidence)
