"""Edit similarity of every pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from nbest.context import Context
from nbest.utilities.matrices import computed
from nbest.utilities.words import comparable, graphemes


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """1 − Levenshtein distance / length of the longer text, 0–1, in user-perceived characters."""

    is_open_to_clients: ClassVar[bool] = True

    respell: bool = False
    """true compares in one spelling: case, harakat, niqqud, ي/ی, ς/σ, İ/i and the like do not count."""

    async def __call__(
        self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
    ) -> NDArray[np.float64]:
        return await computed(self.matrix, hypotheses, references, ctx)

    def matrix(self, hypotheses: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
        """`edit_matrix` of texts in NFC, or in one spelling."""
        left, right = comparable(hypotheses, references, respell=self.respell)
        return edit_matrix(left, right)


def edit_matrix(hypotheses: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """N×M edit similarity, 0–1. An `é` of two code points or a family emoji is one character."""
    if not hypotheses or not references:
        return np.zeros((len(hypotheses), len(references)))
    number_by_grapheme: dict[str, int] = {}

    def encoded(text: str) -> str:
        numbers = (number_by_grapheme.setdefault(g, len(number_by_grapheme)) for g in graphemes(text))
        return "".join(map(chr, numbers))

    left = [encoded(t) for t in hypotheses]
    right = left
    if references is not hypotheses:
        right = [encoded(t) for t in references]
    return process.cdist(left, right, scorer=Levenshtein.normalized_similarity, dtype=np.float64)
