"""A bound on the probability of the wrong mode that holds at every number of draws."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import ClassVar

from nbest.plan.features import Features


@dataclass(frozen=True, slots=True, kw_only=True)
class EProcess:
    """Stops where the majority is the model's mode with enough certainty (arXiv 2510.17472).

    P(wrong mode) ≤ (k − 1) · exp(−n · δ² / 2) ≤ error, for k different answers in n votes and the gap
    δ = (v₁ − v₂) / n between the two leading ones. Where all agree, one more answer is supposed not to have been seen
    yet: k − 1 is at least 1. Without a vote it goes on.
    """

    is_open_to_clients: ClassVar[bool] = True
    reads_counts_only: ClassVar[bool] = True

    error: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.error < 1:
            raise ValueError(f"error must be between 0 and 1, got {self.error:g}")

    def __call__(self, features: Features) -> bool:
        if not features.counts:
            return False
        first, second = (*features.counts, 0)[:2]
        gap = (first - second) / features.num_votes
        num_others = max(1, features.distinct - 1)
        return num_others * exp(-features.num_votes * gap**2 / 2) <= self.error
