"""Tokens and calls by role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbest.types import Candidate, Completion, Role, Usage


class Meter:
    """Adds up `Usage` by role, as each call returns; one per prompt."""

    def __init__(self) -> None:
        self._by_role: dict[str, Usage] = {}

    def count(self, role: Role, spent_on: Iterable[Completion | Candidate]) -> None:
        """Adds what one call's completions cost, whatever becomes of them."""
        self.add(role, sum((c.usage for c in spent_on), Usage()))

    def add(self, role: str, spent: Usage) -> None:
        """Adds what was spent elsewhere, such as by the run that drew a recorded pool."""
        self._by_role[role] = self._by_role.get(role, Usage()) + spent

    @property
    def usage(self) -> Mapping[str, Usage]:
        """By role, sorted by the role's name."""
        return dict(sorted(self._by_role.items()))


def total(usage: Mapping[str, Usage]) -> Usage:
    """All roles together."""
    return sum(usage.values(), Usage())
