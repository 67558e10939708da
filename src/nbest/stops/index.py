"""Pandora's rule on scores: stop where one more draw is not expected to pay for itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, fsum, lgamma, log, log1p, pi, sqrt
from typing import Any, ClassVar, cast

from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from nbest.plan.features import Features
from nbest.protocols import Scorer

_special = cast("Any", special)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Stops where the best score is above the reservation value of the next draw (Pandora, arXiv 2510.01394).

    Weitzman's index of a draw is the value z at which E[(s − z)⁺] = cost; it stops once the best score so far is at
    least z, that is, where the expected improvement over it is at most `cost`. Scores are taken for normal with unknown
    mean and variance under the reference prior of the Normal-Inverse-Gamma family (BEACON, arXiv 2510.15945): the next
    one is Student-t with m − 1 degrees of freedom, around the mean of the m scores, with variance s² · (1 + 1/m). Fewer
    than `least` draws with a score are never enough.
    """

    is_open_to_clients: ClassVar[bool] = True

    scorer: Scorer
    cost: float = 0.01
    """Of a draw, in units of the score."""
    least: int = 3

    def __post_init__(self) -> None:
        if self.cost <= 0:
            raise ValueError(f"cost must be above 0, got {self.cost:g}")
        if self.least < 3:  # noqa: PLR2004
            raise ValueError(f"least must be at least 3, got {self.least}")

    def __call__(self, features: Features) -> bool:
        scores = [score for score in features.scores if score is not None]
        if len(scores) < self.least:
            return False
        return expected_improvement(scores) <= self.cost


def expected_improvement(scores: list[float]) -> float:
    """E[(s − max)⁺] of the next score under its Student-t posterior, from at least 3 scores; 0 where all are equal.

    With z = (max − mean) / scale and ν = m − 1 it is scale · ((ν + z²) / (ν − 1) · t_ν(z) − z · (1 − T_ν(z))).
    """
    num = len(scores)
    mean = fsum(scores) / num
    variance = fsum((score - mean) ** 2 for score in scores) / (num - 1)
    scale = sqrt(variance * (1 + 1 / num))
    if scale == 0:
        return 0.0

    freedom, z = num - 1, (max(scores) - mean) / scale
    log_norm = lgamma((freedom + 1) / 2) - lgamma(freedom / 2) - log(freedom * pi) / 2
    density = exp(log_norm - (freedom + 1) / 2 * log1p(z**2 / freedom))
    above = float(_special.stdtr(freedom, -z))
    return scale * ((freedom + z**2) / (freedom - 1) * density - z * above)
