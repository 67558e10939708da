"""Inference against pre-training: how much a small model may draw for the FLOPs of a larger one (arXiv 2408.03314, §7)."""

from __future__ import annotations

from math import inf
from typing import Final

PAPER_RATIOS: Final = (0.16, 0.79, 22.0)
"""R = D_inf / D_pre of the paper: few, as many, and many tokens of inference beside those of pre-training."""


def inference_multiplier(size_ratio: float, traffic_ratio: float) -> float:
    """How many times its inference tokens the small model may spend, for the FLOPs of a model `size_ratio` times as large.

    Pre-training costs 6·P·D_pre and inference 2·P·D_inf; the large model M times both. What the small model saves in
    pre-training it may draw: M + 3·(D_pre / D_inf)·(M − 1), where `traffic_ratio` is R = D_inf / D_pre. Infinite traffic
    leaves M. Raises `ValueError` for a model that is not larger, and for no traffic.
    """
    if not 1 <= size_ratio < inf:
        raise ValueError(f"size_ratio must be a finite number of at least 1, got {size_ratio:g}")
    if not traffic_ratio > 0:
        raise ValueError(f"traffic_ratio must be above 0, got {traffic_ratio:g}")
    return size_ratio + 3.0 / traffic_ratio * (size_ratio - 1.0)


def traffic_ratio_of(*, inference_tokens: float, pretraining_tokens: float) -> float:
    """R of one's own traffic. Raises `ValueError` where either is not above 0."""
    if not inference_tokens > 0 or not pretraining_tokens > 0:
        raise ValueError("inference_tokens and pretraining_tokens must be above 0")
    return inference_tokens / pretraining_tokens


def price_multiplier(small_price: float, large_price: float) -> float:
    """The same where somebody else paid for the pre-training: the ratio of the prices of an output token.

    Raises `ValueError` where either is not above 0.
    """
    if not small_price > 0 or not large_price > 0:
        raise ValueError("prices must be above 0")
    return large_price / small_price


def affordable_draws(multiplier: float, large_tokens: float, small_tokens: float) -> int:
    """Whole draws of the small model for `multiplier` times the tokens of one answer of the large one.

    `large_tokens` and `small_tokens` are mean output tokens of one answer. Raises `ValueError` where one is not above 0.
    """
    if not large_tokens > 0 or not small_tokens > 0:
        raise ValueError("the mean tokens of an answer must be above 0")
    # The last digits of a product must not cost a draw.
    return int(multiplier * large_tokens / small_tokens + 1e-9)
