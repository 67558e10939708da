"""Bayes factor: stop once the votes tell for the leading answer as the model's most frequent one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nbest.plan.features import Features
from nbest.plan.posterior import top_posterior


@dataclass(frozen=True, slots=True, kw_only=True)
class BayesFactor:
    """Stops where the leading answer is the model's most frequent one by the Bayes factor (Best-of-∞, arXiv 2509.21091).

    With P = Pr[X₁ is the largest part], X ~ Dirichlet(v₁, …, v_k, α), for the votes v of the k answers seen so far
    and a last part for all others, it stops at k · P / (1 − P) ≥ b: the posterior odds over the prior odds 1 / k.
    Without a vote it goes on.
    """

    is_open_to_clients: ClassVar[bool] = True
    reads_counts_only: ClassVar[bool] = True

    b: float = 10.0
    alpha: float = 0.3
    """Concentration of the Dirichlet process: how often an answer that was not seen yet comes."""

    def __post_init__(self) -> None:
        if self.b <= 0:
            raise ValueError(f"b must be above 0, got {self.b:g}")
        if self.alpha <= 0:
            raise ValueError(f"alpha must be above 0, got {self.alpha:g}")

    def __call__(self, features: Features) -> bool:
        if not features.counts:
            return False
        is_top = float(top_posterior(np.array([features.counts]), self.alpha).is_top_U[0])
        return features.distinct * is_top >= self.b * (1.0 - is_top)
