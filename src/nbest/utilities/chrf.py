"""chrF and chrF++ (Popović 2015, 2017) of every pair: to the bit what sacrebleu computes for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from nbest.context import Context
from nbest.offload import offload
from nbest.utilities.matrices import are_small, computed
from nbest.utilities.ngrams import (
    Ints,
    SharedNgrams,
    encode_text,
    encode_tokens,
    match_counts,
    shared_ngrams,
)
from nbest.utilities.words import comparable

MAX_ORDER: Final = 32
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chrf:
    """Character n-gram F-score, 0–100, whitespace ignored, in every script; `word_order=2` is chrF++."""

    is_open_to_clients: ClassVar[bool] = True

    char_order: int = 6
    word_order: int = 0
    beta: float = 2.0
    """Recall counts `beta` times as much as precision."""
    respell: bool = False
    """true compares in one spelling: case, harakat, niqqud, ي/ی, ς/σ, İ/i and the like do not count."""

    def __post_init__(self) -> None:
        if self.char_order < 0 or self.word_order < 0 or self.char_order + self.word_order < 1:
            raise ValueError("char_order and word_order are 0 or more, and one of them at least 1")
        if max(self.char_order, self.word_order) > MAX_ORDER:
            raise ValueError(f"char_order and word_order are at most {MAX_ORDER}")
        if not 0 < self.beta < float("inf"):
            raise ValueError(f"beta={self.beta} must be a number above 0")

    async def __call__(
        self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
    ) -> NDArray[np.float64]:
        return await computed(self.matrix, hypotheses, references, ctx)

    async def aggregate(
        self, hypotheses: Sequence[str], references: Sequence[str], weights: Sequence[float], ctx: Context
    ) -> NDArray[np.float64]:
        """Each hypothesis against the weighted mean of all references: see `chrf_aggregate`."""
        if are_small(hypotheses, references):
            return self.aggregated(hypotheses, references, weights)
        return await offload(self.aggregated, hypotheses, references, weights, seconds=ctx.seconds_left)

    def aggregated(
        self, hypotheses: Sequence[str], references: Sequence[str], weights: Sequence[float]
    ) -> NDArray[np.float64]:
        """`chrf_aggregate` with these parameters, of texts in NFC."""
        left, right = comparable(hypotheses, references, respell=self.respell)
        return chrf_aggregate(
            left,
            right,
            weights,
            char_order=self.char_order,
            word_order=self.word_order,
            beta=self.beta,
        )

    def matrix(self, hypotheses: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
        """`chrf_matrix` with these parameters, of texts in NFC."""
        left, right = comparable(hypotheses, references, respell=self.respell)
        return chrf_matrix(
            left,
            right,
            char_order=self.char_order,
            word_order=self.word_order,
            beta=self.beta,
        )


def chrf_matrix(
    hypotheses: Sequence[str],
    references: Sequence[str] | None = None,
    *,
    char_order: int = 6,
    word_order: int = 0,
    beta: float = 2.0,
) -> NDArray[np.float64]:
    """Sentence chrF of N hypotheses with M references (the hypotheses themselves without any): N×M, 0–100.

    The same floating-point operations in the same order as sacrebleu 2 (`CHRF` defaults: effective order,
    no smoothing), on the same integer counts. Equal texts are computed once. A text without n-grams scores
    0 with everything, itself included. Memory: about 40 bytes for a pair.
    """
    keys_h = keys_r = _keys(hypotheses, word_order)
    if references is not None and references is not hypotheses:
        keys_r = _keys(references, word_order)
    unique_h, rows = _unique(keys_h)
    unique_r, columns = _unique(keys_r)
    if not unique_h or not unique_r:
        return np.zeros((len(keys_h), len(keys_r)))
    documents, num_left = _documents(unique_h, unique_r)
    scores = _matrix(documents, char_order, word_order, num_left, beta)
    if len(unique_h) < len(keys_h) or len(unique_r) < len(keys_r):
        return scores[np.ix_(rows, columns)]
    return scores


def chrf_aggregate(
    hypotheses: Sequence[str],
    references: Sequence[str],
    weights: Sequence[float] | None = None,
    *,
    char_order: int = 6,
    word_order: int = 0,
    beta: float = 2.0,
) -> NDArray[np.float64]:
    """Reference-aggregated chrF of N hypotheses, 0–100, in O(N + M): against the mean n-gram counts.

    Vamvas and Sennrich 2024 (arXiv 2402.04251): an approximation of the mean of
    a row of `chrf_matrix`. `weights` of the references need not sum to 1; all equal without any.
    """
    keys_h, keys_r = _keys(hypotheses, word_order), _keys(references, word_order)
    if not keys_h or not keys_r:
        return np.zeros(len(keys_h))
    unique_h, rows = _unique(keys_h)
    unique_r, columns = _unique(keys_r)
    given = np.ones(len(keys_r))
    if weights is not None:
        given = np.asarray(weights, np.float64)
    mass = np.bincount(columns, given / given.sum(), len(unique_r)).astype(np.float64)
    documents, num_left = _documents(unique_h, unique_r)
    if num_left is not None:
        mass = np.concatenate((np.zeros(num_left), mass))
    precision, recall, effective = (np.zeros(len(unique_h)) for _ in range(3))
    for sizes, shared in _orders(documents, char_order, word_order, num_left):
        matches = _mean_matches(shared, sizes, mass, num_left)[:num_left]
        size_h, size_r = sizes[:num_left], float(mass @ sizes)
        precision += matches / np.maximum(size_h, 1)
        recall += matches / (size_r or 1.0)
        effective += (size_h > 0) & (size_r > 0)
    effective = np.maximum(effective, 1)
    return _f_score(precision / effective, recall / effective, beta)[rows]


def _keys(texts: Sequence[str], word_order: int) -> list[str]:
    """Texts without white space; with single spaces where words count."""
    glue = ""
    if word_order:
        glue = " "
    return [glue.join(text.split()) for text in texts]


def _documents(hypotheses: list[str], references: list[str]) -> tuple[list[str], int | None]:
    """One list and None where the pool is its own evidence, else hypotheses, then references, and how many the former are."""
    if hypotheses == references:
        return hypotheses, None
    return hypotheses + references, len(hypotheses)


def _unique(keys: Sequence[str]) -> tuple[list[str], Ints]:
    """The distinct keys as they come, and which of them each key is."""
    number_by_key: dict[str, int] = {}
    numbers = [number_by_key.setdefault(k, len(number_by_key)) for k in keys]
    return list(number_by_key), np.array(numbers, np.int64)


def _words(text: str) -> list[str]:
    """Words with one outer ASCII punctuation mark split off, as chrF++ defines them."""
    words: list[str] = []
    for word in text.split():
        if len(word) > 1 and word[-1] in _PUNCTUATION:
            words += word[:-1], word[-1]
        elif len(word) > 1 and word[0] in _PUNCTUATION:
            words += word[0], word[1:]
        else:
            words.append(word)
    return words


def _orders(
    documents: Sequence[str], char_order: int, word_order: int, num_left: int | None
) -> Iterator[tuple[Ints, SharedNgrams | None]]:
    """For each order, of characters and then of words: n-grams per document, and those shared if any."""
    without_spaces = documents
    if word_order:
        without_spaces = [document.replace(" ", "") for document in documents]
    encoded = [(encode_text(without_spaces), char_order)]
    if word_order:
        encoded.append((encode_tokens([_words(d) for d in documents]), word_order))
    for (codes, lengths), max_order in encoded:
        shared = shared_ngrams(codes, lengths, max_order, num_left=num_left)
        for n in range(max_order):
            yield np.maximum(lengths - n, 0), next(shared, None)


def _matrix(
    documents: Sequence[str], char_order: int, word_order: int, num_left: int | None, beta: float
) -> NDArray[np.float64]:
    left, right = slice(num_left), slice(num_left, None)
    if num_left is None:
        right = left
    shape = len(documents[left]), len(documents[right])
    precision, recall, sizes_of_order = np.zeros(shape), np.zeros(shape), list[Ints]()
    for sizes, shared in _orders(documents, char_order, word_order, num_left):
        sizes_of_order.append(sizes)
        if shared is None:
            continue
        counts = match_counts(shared, len(documents), num_left=num_left)
        divisors = np.maximum(sizes, 1).astype(np.float64)
        precision += counts / divisors[left, None]
        if num_left is not None:
            recall += counts / divisors[right]
    if num_left is None:
        recall = precision.T
    has = np.array(sizes_of_order) > 0
    # Effective order: the number of orders that both texts have n-grams of.
    effective = len(has) if has.all() else np.maximum(has[:, left].T.astype(float) @ has[:, right], 1)
    scores = _f_score(precision / effective, recall / effective, beta)
    if num_left is None:
        np.fill_diagonal(scores, np.where(has.any(axis=0), 100.0, 0.0))
    return scores


def _mean_matches(
    shared: SharedNgrams | None, sizes: Ints, mass: NDArray[np.float64], num_left: int | None
) -> NDArray[np.float64]:
    """Clipped matches of each document with the counts of all, document i counted `mass[i]` times (≤ 1).

    In a pool that is its own evidence, n-grams of one text alone match their own share of the mean.
    """
    num_docs = len(sizes)
    if shared is None:
        if num_left is None:
            return sizes * mass
        return np.zeros(num_docs)
    runs = np.flatnonzero(shared.repeats == 0)
    docs, grams = shared.docs[runs], shared.grams[runs]
    counts = np.diff(runs, append=len(shared.docs)).astype(np.float64)
    means = np.bincount(grams, counts * mass[docs])
    matches = np.bincount(docs, np.minimum(counts, means[grams]), num_docs)
    if num_left is None:
        matches = matches + (sizes - np.bincount(docs, counts, num_docs)) * mass
    return matches.astype(np.float64)


def _f_score(precision: NDArray[np.float64], recall: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    factor = beta**2
    denominator = factor * precision + recall
    scores = (1 + factor) * precision * recall
    return 100 * np.divide(scores, denominator, out=np.zeros_like(scores), where=denominator > 0)
