"""Tokens and calls by role and engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from nbest.accounting.computed_texts import CallCosts
from nbest.types import Candidate, Completion, Role, Spent, Usage

_Key = tuple[str, str, str]
"""Role, name of the engine in the configuration, engine and model."""


_NOTHING: Final = CallCosts(reused=0, context=0)


class Meter:
    """Adds up `Usage` by role and engine, as each call returns; one per prompt."""

    def __init__(self) -> None:
        self._by_key: dict[_Key, Usage] = {}
        self._costs_by_key: dict[_Key, CallCosts] = {}

    def count(
        self,
        role: Role,
        spent_on: Iterable[Completion | Candidate],
        *,
        engine: str = "",
        model: str = "",
        costs: CallCosts = _NOTHING,
    ) -> None:
        """Adds what one call's completions cost, whatever becomes of them."""
        spent = Usage()
        for drawn in spent_on:
            spent += drawn.usage
        self.add(role, spent, engine=engine, model=model, costs=costs)

    def add(
        self,
        role: str,
        spent: Usage,
        *,
        engine: str = "",
        model: str = "",
        costs: CallCosts = _NOTHING,
    ) -> None:
        """Adds what was spent elsewhere, such as by the run that drew a recorded pool."""
        key = (role, engine, model)
        known = self._by_key.get(key)
        self._by_key[key] = spent if known is None else known + spent
        self._costs_by_key[key] = self._costs_by_key.get(key, _NOTHING) + costs

    def add_spent(self, spent: Spent) -> None:
        """Adds what a record says."""
        costs = CallCosts(reused=spent.reused, context=spent.context)
        self.add(spent.role, spent.usage, engine=spent.engine, model=spent.model, costs=costs)

    @property
    def usage(self) -> Mapping[str, Usage]:
        """By role, sorted by the role's name."""
        by_role: dict[str, Usage] = {}
        for (role, _, _), spent in sorted(self._by_key.items()):
            by_role[role] = by_role.get(role, Usage()) + spent
        return by_role

    @property
    def spent(self) -> tuple[Spent, ...]:
        """By role and engine, sorted by their names."""
        return tuple(
            Spent(role=key[0], engine=key[1], model=key[2], usage=usage, **self._costs_by_key[key]._asdict())
            for key, usage in sorted(self._by_key.items())
        )


class HasUsage(Protocol):
    """An outcome, or a pool."""

    @property
    def usage(self) -> Mapping[str, Usage]: ...

    @property
    def spent(self) -> Sequence[Spent]: ...


def total(usage: Mapping[str, Usage]) -> Usage:
    """All roles together."""
    return sum(usage.values(), Usage())


def spent_of(outcome: HasUsage) -> Sequence[Spent]:
    """What an outcome or pool cost by role and engine.

    Records of older versions say it by role alone, and are credited what engines had in their caches.
    """
    if outcome.spent:
        return outcome.spent
    return [Spent(role=role, usage=usage, reused=usage.cached) for role, usage in outcome.usage.items()]
