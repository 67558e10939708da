"""What was spent, by role. Counted as each call returns: a strategy cannot forget, and a failing
sibling cannot lose it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbest.types import Candidate, Completion, Role, Usage


class Meter:
    """Adds up `Usage` by role; one per prompt."""

    def __init__(self) -> None:
        self._by_role: dict[str, Usage] = {}

    def count(self, role: Role, spent_on: Iterable[Completion | Candidate]) -> None:
        """Adds what one call's completions cost, whatever becomes of them."""
        spent = sum((c.usage for c in spent_on), Usage())
        self._by_role[role] = self._by_role.get(role, Usage()) + spent

    @property
    def usage(self) -> Mapping[str, Usage]:
        """By role, in the order of the names."""
        return dict(sorted(self._by_role.items()))


def total(usage: Mapping[str, Usage]) -> Usage:
    """All roles together."""
    return sum(usage.values(), Usage())
