"""Sequential probability ratio test between the two leading answers."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any, ClassVar, cast

from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from nbest.plan.features import Features
from nbest.plan.posterior import p_beats_second

_special = cast("Any", special)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprt:
    """Stops where a sequential test tells the leading answer from the second (ConSol, arXiv 2503.17587).

    Among draws with one of the two leading answers, p = ½ is tested against p > ½ (uniform on ½ … 1): it stops where
    the likelihood ratio 2 · ∫ p^v₁ (1 − p)^v₂ dp / ½^(v₁ + v₂) is at least 1 / error. Such a ratio reaches 1 / error
    with a probability of at most `error` if the two are equally frequent, however often one looks (Ville 1939).
    Without a vote it goes on.
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
        upper_half = log(p_beats_second(first, second)) + float(_special.betaln(first + 1, second + 1))
        log_ratio = log(2) + upper_half + (first + second) * log(2)
        return log_ratio >= -log(self.error)
