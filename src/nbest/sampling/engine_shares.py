"""Draws dealt to engines in given proportions."""

from __future__ import annotations

from collections.abc import Sequence


def dealt(weights: Sequence[float], n: int) -> list[int]:
    """Which engine makes each of n draws: the next one is of the engine that is furthest behind its share.

    Of equals, the first. No engine is ever a whole draw ahead of its share, and larger pools begin with the smaller ones.
    Raises `ValueError` for weights that are negative, not finite, or all 0.
    """
    total = sum(weights)
    if not all(weight >= 0 for weight in weights) or not 0 < total < float("inf"):
        raise ValueError(f"weights must be numbers of at least 0, not all 0, got {list(weights)}")
    counts = [0] * len(weights)
    engines: list[int] = []
    for i in range(n):
        behind = [weight / total * (i + 1) - count for weight, count in zip(weights, counts, strict=True)]
        engine = max(range(len(weights)), key=lambda e: (round(behind[e], 9), -e))
        counts[engine] += 1
        engines.append(engine)
    return engines
