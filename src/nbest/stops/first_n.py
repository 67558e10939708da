"""A fixed number of draws: the baseline of every stopping rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nbest.plan.features import Features


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstN:
    """Stops after n draws, failed ones included."""

    is_open_to_clients: ClassVar[bool] = True
    reads_counts_only: ClassVar[bool] = True

    n: int = 8

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")

    def __call__(self, features: Features) -> bool:
        return features.n >= self.n
