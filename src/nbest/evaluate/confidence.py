"""Values with their 95 % intervals: how the ends are found from resamples, or without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

LEVEL: Final = 0.95
_special = cast("Any", special)


class Estimate(NamedTuple):
    """A value with its 95 % confidence interval; `low` and `high` are None where it cannot be told."""

    value: float
    low: float | None
    high: float | None

    def text(self, number: Callable[[float], str]) -> str:
        """`12.3 [10.1, 14.5]`; the value alone where there is no interval."""
        if self.low is None or self.high is None:
            return number(self.value)
        return f"{number(self.value)} [{number(self.low)}, {number(self.high)}]"


def exact_share(value: float, num_units: int) -> Estimate:
    """A share of 0 or of 1 among `num_units` trials, with the interval of Clopper & Pearson (1934)."""
    bound = ((1 - LEVEL) / 2) ** (1 / num_units)
    if value == 0:
        return Estimate(value, 0.0, 1 - bound)
    return Estimate(value, bound, 1.0)


def percentiles(sampled_R: Floats, num_units: int) -> tuple[float, float]:
    """The ends of the expanded-percentile interval (`tail`) of R resampled means."""
    cut = tail(num_units)
    low, high = np.quantile(sampled_R, [cut, 1 - cut])
    return float(low), float(high)


def tail(num_units: int) -> float:
    """Share of resampled means to cut off at each end.

    A bootstrap mean varies by σ√((K−1)/K) and knows nothing of t: percentiles of few units are too narrow.
    The "expanded percentile" interval takes Φ(−√(K/(K−1)) · t(0.975, K−1)) instead of 0.025
    (Hesterberg 2015, What Teachers Should Know About the Bootstrap); 0.0211 at K = 50.
    """
    if num_units < 2:  # noqa: PLR2004
        return (1 - LEVEL) / 2
    t = float(_special.stdtrit(num_units - 1, (1 + LEVEL) / 2))
    return float(_special.ndtr(-np.sqrt(num_units / (num_units - 1)) * t))
