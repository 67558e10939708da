"""Keeps the event loop free while a large matrix is computed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

PAIRS_TO_THREAD = 64 * 64
"""From here the work takes longer than handing it to a thread."""


async def offloaded(
    matrix: Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]],
    hypotheses: Sequence[str],
    references: Sequence[str],
) -> NDArray[np.float64]:
    """`matrix(hypotheses, references)`, in a thread where it is large."""
    if len(hypotheses) * len(references) < PAIRS_TO_THREAD:
        return matrix(hypotheses, references)
    return await asyncio.to_thread(matrix, hypotheses, references)
