"""Where a utility's matrix is computed: at once where that is quick, else beside the event loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nbest.context import Context
from nbest.offload import offload

MAX_PAIRS: Final = 1024
MAX_CHARS: Final = 1 << 13
"""Up to here, of all texts together, every lexical utility takes a few milliseconds at most."""

Matrix = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]


async def computed(
    matrix: Matrix, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
) -> NDArray[np.float64]:
    """`matrix(hypotheses, references)`, N×M, in a worker process where there are many pairs or long texts.

    Raises `EngineTimeoutError` at the deadline of `ctx`, and `EngineError` above the limits of such work. A worker
    imports `matrix` by its name: it is a function of a module, `partial` of one or a method of a plug-in.
    """
    if are_small(hypotheses, references):
        return matrix(hypotheses, references)
    return await offload(matrix, hypotheses, references, seconds=ctx.seconds_left)


def are_small(hypotheses: Sequence[str], references: Sequence[str]) -> bool:
    """Whether their matrix takes a few milliseconds at most."""
    num_chars = sum(map(len, hypotheses)) + sum(map(len, references))
    return num_chars <= MAX_CHARS and len(hypotheses) * len(references) <= MAX_PAIRS
