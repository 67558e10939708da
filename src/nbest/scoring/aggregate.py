"""One number from the values of a solution's steps."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, prod
from typing import Literal

Reduce = Literal["last", "min", "product", "mean"]
"""last: as Snell et al. 2024 found best (arXiv 2408.03314, §5.1); min and product: Lightman et al. 2023
(arXiv 2305.20050, §2.6)."""


def aggregate(steps: Sequence[float], how: Reduce = "last") -> float | None:
    """The last, least, product or mean of `steps`, in their order; None where there is none.

    Where any step is below 0, steps are taken for logarithms, as `vote` takes scores, and their product is
    their sum: multiplied as they are, worse steps would make a better product.
    """
    if not steps:
        return None
    match how:
        case "last":
            return steps[-1]
        case "min":
            return min(steps)
        case "product":
            if min(steps) < 0:
                return fsum(steps)
            return prod(steps)
        case "mean":
            return fsum(steps) / len(steps)
