"""Plans taken apart into single draws and put together again: what samplers around samplers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace as replace_fields
from typing import Any

from nbest.protocols import Sampler
from nbest.types import Request, SamplingParams, replace


def size(sampler: Sampler) -> int:
    """How many draws `sampler` plans."""
    plugin: Any = sampler
    return plugin.n


def resized(sampler: Sampler, n: int) -> Sampler:
    """`sampler` with a pool of `n`. Raises `ValueError` where it cannot have one (`greedy` draws one)."""
    plugin: Any = sampler
    return sampler if plugin.n == n else replace_fields(plugin, n=n)


def draws(requests: Iterable[Request]) -> Iterator[Request]:
    """The same draws, one per request, each with its own seed."""
    for request in requests:
        seed = request.params.seed
        for i in range(request.n):
            yield replace(request, n=1, params=_seeded(request.params, seed, i))


def merged(requests: Iterable[Request]) -> Sequence[Request]:
    """The same draws in the same order, neighbours that differ in the next seed alone in one call."""
    plan: list[Request] = []
    for request in requests:
        if plan and _continues(plan[-1], request):
            plan[-1] = replace(plan[-1], n=plan[-1].n + request.n)
        else:
            plan.append(request)
    return plan


def _continues(earlier: Request, later: Request) -> bool:
    params = _seeded(earlier.params, earlier.params.seed, earlier.n)
    return later == replace(earlier, n=later.n, params=params)


def _seeded(params: SamplingParams, seed: int | None, i: int) -> SamplingParams:
    """The parameters of draw `i` under `seed`; without a seed all are alike."""
    return params if seed is None else replace(params, seed=seed + i)
