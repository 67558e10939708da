"""A number of draws dealt out by weight."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum


def dealt(total: int, weights: Sequence[float]) -> list[int]:
    """`total` in whole parts proportional to `weights` (largest remainders; of equals the earlier first).

    The parts sum to `total` exactly, which rounding each (as the papers write it) does not give. Equal
    parts, the earlier the larger, where no weight is positive; no parts of no weights.
    """
    if not weights:
        return []
    all_weight = fsum(weights)
    if not all_weight > 0:
        weights, all_weight = [1.0] * len(weights), float(len(weights))
    shares = [total * (w / all_weight) for w in weights]
    parts = [int(s) for s in shares]
    # Equal remainders differ in their last bits where the parts differ: 8 · 4/6 and 8 · 1/6.
    by_remainder = sorted(range(len(parts)), key=lambda i: (round(parts[i] - shares[i], 9), i))
    for i in by_remainder[: max(0, total - sum(parts))]:
        parts[i] += 1
    return parts


def softmax(values: Sequence[float | None], temperature: float) -> list[float]:
    """exp(v / T) / Σ exp(v / T); 0 for None beside values, equal shares where all are None."""
    known = [value for value in values if value is not None]
    if not known:
        return [1 / len(values)] * len(values)

    top = max(known)
    weights = [0.0] * len(values)
    for i, value in enumerate(values):
        if value is not None:
            weights[i] = exp((value - top) / temperature)
    total = fsum(weights)
    return [weight / total for weight in weights]
