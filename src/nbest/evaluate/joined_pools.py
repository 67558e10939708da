"""Pools of several engines for the same prompts, joined: answers of one prompt are in the same classes whoever gave them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbest.datasets import Pool
from nbest.errors import InputError
from nbest.evaluate.pool_arrays import RecordedPools, read_arrays
from nbest.evaluate.recorded_draws import draws_of
from nbest.protocols import Scorer
from nbest.types import Candidate, replace


class JoinedPools(NamedTuple):
    """Draws of E engines for their P common prompts, M of each engine."""

    classes_PEM: NDArray[np.int16]
    """Class of each answer within its prompt; −1 for none."""
    values_PEM: NDArray[np.float32]
    lengths_PEM: NDArray[np.float32]
    """Output tokens."""
    clusters: list[str]
    num_left_out: int
    """Common prompts without a score for each draw."""

    def select(self, rows: NDArray[Any]) -> JoinedPools:
        """The chosen prompts: numbers, or truth values."""
        clusters = [str(cluster) for cluster in np.array(self.clusters)[rows]]
        return JoinedPools(
            self.classes_PEM[rows], self.values_PEM[rows], self.lengths_PEM[rows], clusters, self.num_left_out
        )


async def join(
    sources: Sequence[Iterable[Pool]],
    scorer: Scorer,
    *,
    num_draws: int | None = None,
    cluster: str | None = None,
    on_prompt: Callable[[], object] = lambda: None,
) -> JoinedPools:
    """Reads the pools of several engines; prompts are the same where their ids are.

    Each engine has the first `num_draws` draws of each prompt, by default as many as its smallest pool. Raises
    `InputError` where the sources have no prompt in common, or a pool is too small.
    """
    by_id: list[dict[str, tuple[Pool, list[Candidate]]]] = []
    for source in sources:
        found = ((pool, draws_of(pool.candidates, pool.prompt)) for pool in source)
        by_id.append({pool.prompt.id: (pool, draws) for pool, draws in found if draws})
    common = [id_ for id_ in by_id[0] if all(id_ in pools for pools in by_id[1:])]
    if not common:
        raise InputError("the pools have no prompt in common: prompts are the same where their `id` is")

    smallest = min(len(pools[id_][1]) for pools in by_id for id_ in common)
    width = num_draws or smallest
    if width > smallest:
        raise InputError(f"`n` is {width}, but the smallest pool of a common prompt has {smallest} draws")
    joined = [_joined([pools[id_] for pools in by_id], width) for id_ in common]
    read = await read_arrays(joined, scorer, cluster=cluster, on_prompt=on_prompt)
    return _shaped(read, len(sources), width)


def _joined(pools: Sequence[tuple[Pool, list[Candidate]]], width: int) -> Pool:
    """One pool: the draws of the first engine, then those of the second, and so on."""
    candidates: Iterator[Candidate] = (c for _, draws in pools for c in draws[:width])
    numbered = tuple(replace(c, id=i) for i, c in enumerate(candidates))
    return Pool(pools[0][0].prompt, pools[0][0].gold, numbered)


def _shaped(read: RecordedPools, num_engines: int, width: int) -> JoinedPools:
    shape = (-1, num_engines, width)
    arrays = read.arrays
    return JoinedPools(
        arrays.classes_PN.reshape(shape),
        arrays.values_PN.reshape(shape),
        arrays.lengths_PN.reshape(shape),
        read.clusters,
        read.num_unscored,
    )
