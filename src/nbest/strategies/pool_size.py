"""How many candidates a strategy draws, and the same strategy with another number of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from nbest import registry
from nbest.errors import InputError
from nbest.protocols import Strategy
from nbest.sampling.greedy import Greedy
from nbest.sampling.hedged import Hedged

_HOLDERS = ("sampler", "search")
"""Fields of a strategy that may hold what decides the size of its pool."""


def pool_size(strategy: Any) -> int | None:
    """The `n` of a strategy's sampler or search, or of the strategy itself.

    None where the size is not one number, as in `revise`, whose parameters multiply.
    """
    for name in _HOLDERS:
        inner = getattr(strategy, name, None)
        if inner is not None:
            return getattr(inner, "n", None)

    return getattr(strategy, "n", None)


def with_n(strategy: Strategy, n: int) -> Strategy:
    """The same strategy with a pool of `n`; greedy draws become hedged ones, since all greedy draws are one text.

    Raises `InputError` where the pool's size is not one number, or cannot be `n`.
    """
    return _with_n(strategy, n)


def _with_n(plugin: Any, n: int) -> Any:
    for name in _HOLDERS:
        inner = getattr(plugin, name, None)
        if inner is not None:
            return dataclasses.replace(plugin, **{name: _with_n(inner, n)})

    if isinstance(plugin, Greedy):
        if n == 1:
            return plugin
        return _hedged(plugin, n)
    if getattr(plugin, "n", None) is None:
        raise InputError(
            f"n: the size of {registry.spec_of(plugin)} is not one number; write it into the strategy"
        )
    try:
        return dataclasses.replace(plugin, n=n)
    except ValueError as e:
        raise InputError(f"n: {e}") from None


def _hedged(greedy: Greedy, n: int) -> Hedged:
    """`n` draws that keep what a greedy one says of length and the like."""
    own = {f.name for f in dataclasses.fields(greedy)} - {"n", "min_p"}
    shared: dict[str, Any] = {name: getattr(greedy, name) for name in own}
    return Hedged(n=n, **shared)
