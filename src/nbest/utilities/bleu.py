"""Sentence BLEU (Papineni et al. 2002) of every pair, in every script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from nbest.context import Context
from nbest.utilities.matrices import computed
from nbest.utilities.ngrams import encode_tokens, match_counts, shared_ngrams
from nbest.utilities.words import comparable, words

MAX_ORDER: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Bleu:
    """Sentence BLEU, 0–100, over words; over characters in scripts that put no spaces. Texts are compared in NFC."""

    is_open_to_clients: ClassVar[bool] = True

    max_order: int = 4
    respell: bool = False
    """true compares in one spelling: case, harakat, niqqud, ي/ی, ς/σ, İ/i and the like do not count."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_order <= MAX_ORDER:
            raise ValueError(f"max_order={self.max_order} must be at least 1, and at most {MAX_ORDER}")

    async def __call__(
        self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
    ) -> NDArray[np.float64]:
        return await computed(self.matrix, hypotheses, references, ctx)

    def matrix(self, hypotheses: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
        """`bleu_matrix` of the texts' words."""
        left, right = comparable(hypotheses, references, respell=self.respell)
        words_h, words_r = [words(text) for text in left], [words(text) for text in right]
        return bleu_matrix(words_h, words_r, max_order=self.max_order)


def bleu_matrix(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], *, max_order: int = 4
) -> NDArray[np.float64]:
    """N×M sentence BLEU of tokenised texts, 0–100.

    What sacrebleu's `sentence_bleu` computes for each pair: exponential smoothing (an order without
    matches counts as ½, ¼, … match), effective order (longer n-grams than the hypothesis has do not
    count), brevity penalty. 0 where no word matches.
    """
    num_left = len(hypotheses)
    codes, lengths = encode_tokens([*hypotheses, *references])
    lengths_h, lengths_r = lengths[:num_left, None], lengths[num_left:]
    shape = num_left, len(references)
    log_precision, halvings, any_match = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.bool_)
    grams = shared_ngrams(codes, lengths, max_order, num_left=num_left)
    for n in range(max_order):
        shared = next(grams, None)
        matches = np.zeros(shape) if shared is None else match_counts(shared, len(lengths), num_left=num_left)
        sizes = np.maximum(lengths_h - n, 0)
        is_missed = (matches == 0) & (sizes > 0)
        halvings += is_missed
        smoothed = np.where(is_missed, 0.5**halvings, matches)
        log_precision += np.log(np.where(sizes > 0, smoothed, 1.0) / np.maximum(sizes, 1))
        any_match |= matches > 0
    effective = np.clip(lengths_h, 1, max_order)
    penalty = np.exp(np.minimum(0.0, 1 - lengths_r / np.maximum(lengths_h, 1)))
    return np.where(any_match, 100 * penalty * np.exp(log_precision / effective), 0.0)
