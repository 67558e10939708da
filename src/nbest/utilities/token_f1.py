"""F1 of shared words, as in SQuAD (Rajpurkar et al. 2016), without its English-only normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nbest.context import Context
from nbest.utilities.matrices import computed
from nbest.utilities.ngrams import encode_tokens, match_counts, shared_ngrams
from nbest.utilities.words import bare_words


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenF1:
    """2 · shared words / all words, 0–1; case and punctuation do not count, repeated words do.

    In scripts without spaces a character is a word. Two texts without words are equal (1).
    """

    is_open_to_clients: ClassVar[bool] = True

    async def __call__(
        self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
    ) -> NDArray[np.float64]:
        return await computed(token_f1_matrix, hypotheses, references, ctx)


def token_f1_matrix(hypotheses: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """N×M token F1, 0–1."""
    num_left = len(hypotheses)
    codes, lengths = encode_tokens([bare_words(t) for t in (*hypotheses, *references)])
    totals = (lengths[:num_left, None] + lengths[num_left:]).astype(np.float64)
    shared = next(shared_ngrams(codes, lengths, 1, num_left=num_left), None)
    if shared is None:
        return (totals == 0).astype(np.float64)
    matches = match_counts(shared, len(lengths), num_left=num_left)
    return np.divide(2.0 * matches, totals, out=np.ones_like(totals), where=totals > 0)
