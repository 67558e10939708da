"""Shared n-grams of many sequences, counted in pairs: exact integers, no hash, no loop over pairs.

`min(a, b) = Σ_k [a ≥ k][b ≥ k]`. So with one binary column per (n-gram, occurrence number) the clipped
matches of every pair of documents are one matrix product: dense for frequent columns, sparse for rare ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

SMALL_PAIRS = 128 * 128
"""Up to here one dense product is fastest, and scipy is not imported."""
DENSE_SHARE = 0.05
"""A column that this share of all pairs' documents have (geometric mean of both sides) is dense."""
DENSE_CELLS = 1 << 24
"""Cells of the largest dense slice: 64 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedNgrams:
    """Where the n-grams of one order stand that at least two documents (one on each side) share.

    The three arrays run over occurrences, sorted by n-gram, then document, then place.
    """

    docs: Ints
    grams: Ints
    """Which n-gram, as 0, 1, … in the order of its symbols."""
    repeats: Ints
    """How often the same n-gram stood in the same document before."""

    def columns(self) -> tuple[Ints, int]:
        """A column number for every (n-gram, repeat), and how many there are."""
        widths = np.maximum.reduceat(self.repeats, np.flatnonzero(np.diff(self.grams, prepend=-1))) + 1
        ends = np.cumsum(widths)
        return (ends - widths)[self.grams] + self.repeats, int(ends[-1])


def encode_text(texts: Sequence[str]) -> tuple[Ints, Ints]:
    """Code points of all texts as ranks 0, 1, …, end to end, and the length of each text.

    Any string will do, lone surrogates included.
    """
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    if not points.size:
        return np.zeros(0, np.int64), lengths
    is_seen = np.zeros(int(points.max()) + 1, np.bool_)
    is_seen[points] = True
    return (np.cumsum(is_seen) - 1)[points], lengths


def encode_tokens(documents: Sequence[Sequence[str]]) -> tuple[Ints, Ints]:
    """The same for tokens, ranked by code point so that the order of documents does not matter."""
    lengths = np.fromiter(map(len, documents), np.int64, len(documents))
    rank_by_token = {t: i for i, t in enumerate(sorted({t for d in documents for t in d}))}
    return np.array([rank_by_token[t] for d in documents for t in d], np.int64), lengths


def shared_ngrams(
    codes: Ints, lengths: Ints, max_order: int, *, num_left: int | None = None
) -> Iterator[SharedNgrams]:
    """The shared n-grams of orders 1, 2, …, `max_order`, one at a time; ends early where none is left.

    `codes` and `lengths` come from `encode_text` or `encode_tokens`. An n-gram counts as shared where two
    documents have it, or, given `num_left`, one of the first `num_left` and one of the others.
    An n-gram extends a shared one of the order below, or it is not shared: the rest is never sorted.
    """
    ends = np.repeat(np.cumsum(lengths), lengths)
    doc_by_place = np.repeat(np.arange(len(lengths)), lengths)
    num_symbols = int(codes.max(initial=0)) + 1
    place_bits = len(codes).bit_length()
    # An n-gram is (its first n − 1 symbols, its last symbol); with the place below it fits one integer.
    is_packed = place_bits * 2 + num_symbols.bit_length() < 64  # noqa: PLR2004
    places = np.arange(len(codes))
    grams = np.zeros(len(codes), np.int64)
    for n in range(1, max_order + 1):
        last = places + (n - 1)
        fits = last < ends[places]
        places, grams, last = places[fits], grams[fits], last[fits]
        keys = grams * num_symbols + codes[last]
        if is_packed:
            packed = (keys << place_bits) | places
            packed.sort()
            places, keys = packed & ((1 << place_bits) - 1), packed >> place_bits
        else:
            order = np.lexsort((places, keys))
            places, keys = places[order], keys[order]
        if not len(keys):
            return
        docs = doc_by_place[places]
        is_new_gram = np.empty(len(keys), np.bool_)
        is_new_gram[0] = True
        np.not_equal(keys[1:], keys[:-1], out=is_new_gram[1:])
        starts = np.flatnonzero(is_new_gram)
        sizes = np.diff(starts, append=len(keys))
        first, final = docs[starts], docs[starts + sizes - 1]
        is_shared = first != final
        if num_left is not None:
            is_shared = (first < num_left) & (final >= num_left)
        kept = np.repeat(is_shared, sizes)
        places, docs = places[kept], docs[kept]
        grams = np.repeat(np.arange(int(is_shared.sum())), sizes[is_shared])
        if not len(grams):
            return
        is_new_run = is_new_gram[kept]
        is_new_run[1:] |= docs[1:] != docs[:-1]
        runs = np.flatnonzero(is_new_run)
        repeats = np.arange(len(docs)) - np.repeat(runs, np.diff(runs, append=len(docs)))
        yield SharedNgrams(docs=docs, grams=grams, repeats=repeats)


def match_counts(shared: SharedNgrams, num_docs: int, *, num_left: int | None = None) -> NDArray[np.float32]:
    """Clipped matches of every pair, exact integers: all documents with all, or left with right.

    Off the diagonal only, where `num_left` is None: there a document's own n-grams may be left out.
    """
    num_rows, num_columns = num_docs, num_docs
    if num_left is not None:
        num_rows, num_columns = num_left, num_docs - num_left
    docs, (columns, width) = shared.docs, shared.columns()
    if num_rows * num_columns <= SMALL_PAIRS and num_docs * width <= DENSE_CELLS:
        return _product(_dense(docs, columns, num_docs, width), num_left)
    frequency = np.bincount(columns, minlength=width)
    on_the_left = on_the_right = frequency
    if num_left is not None:
        on_the_left = np.bincount(columns[docs < num_left], minlength=width)
        on_the_right = frequency - on_the_left
    num_pairs = on_the_left * on_the_right
    is_dense = num_pairs >= (DENSE_SHARE**2 * num_rows) * num_columns
    is_rare = ~is_dense & (num_pairs > (num_left is None))
    counts = np.zeros((num_rows, num_columns), np.float32)
    for rows, numbers, size in _slices(docs, columns, is_dense, max(1, DENSE_CELLS // num_docs)):
        counts += _product(_dense(rows, numbers, num_docs, size), num_left)
    for rows, numbers, size in _slices(docs, columns, is_rare, width):
        counts += _product(_sparse(rows, numbers, num_docs, size), num_left).toarray()
    return counts


def _slices(
    docs: Ints, columns: Ints, is_wanted: NDArray[np.bool_], size: int
) -> Iterator[tuple[Ints, Ints, int]]:
    """(documents, column numbers from 0, how many columns) of the wanted columns, `size` at a time."""
    numbers = np.cumsum(is_wanted) - 1
    total = int(is_wanted.sum())
    if not total:
        return
    wanted = is_wanted[columns]
    docs, columns = docs[wanted], numbers[columns[wanted]]
    for start in range(0, total, size):
        inside = slice(None) if total <= size else (columns >= start) & (columns < start + size)
        yield docs[inside], columns[inside] - start, min(size, total - start)


def _dense(docs: Ints, columns: Ints, num_docs: int, width: int) -> NDArray[np.float32]:
    matrix = np.zeros((num_docs, width), np.float32)  # float32 counts integers exactly below 2**24
    matrix[docs, columns] = 1
    return matrix


def _sparse(docs: Ints, columns: Ints, num_docs: int, width: int) -> Any:
    sparse: Any = import_module("scipy.sparse")  # small pools do without it
    return sparse.csr_matrix((np.ones(len(docs), np.float32), (docs, columns)), shape=(num_docs, width))


def _product(matrix: Any, num_left: int | None) -> Any:
    if num_left is None:
        return matrix @ matrix.T
    return matrix[:num_left] @ matrix[num_left:].T
