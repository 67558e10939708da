"""What was spent, by role. Counted as each call returns: a strategy cannot forget, and a failing
sibling cannot lose it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Meta

from nbest.types import Candidate, Completion, Role, Usage, Value

_Money = Annotated[float, Meta(ge=0)]
_Count = Annotated[float, Meta(gt=0)]


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


class ModelSize(Value, frozen=True, kw_only=True):
    """How large a model is, in parameters."""

    parameters: _Count
    active: _Count | None = None
    """Parameters that one token passes through, where only some experts work on it; all without it."""


class Price(Value, frozen=True, kw_only=True):
    """What a model's tokens cost, per million, in any currency."""

    prompt: _Money
    completion: _Money
    cached: _Money | None = None
    """Prompt tokens that the engine had in its cache; as much as others without it."""


def inference_flops(usage: Usage, size: ModelSize) -> float:
    """2 · P · tokens, P the active parameters (Kaplan et al. 2020, §2.1).

    Tokens are those computed: prompt tokens without cached ones, and drawn ones. Attention over the context
    is left out, as in the source: 2 · layers · context · width a token, small until the context is long.
    """
    return 2 * (size.active or size.parameters) * (usage.prompt - usage.cached + usage.completion)


def training_flops(num_tokens: float, size: ModelSize) -> float:
    """6 · P · tokens: forward, and backward at twice its cost (Kaplan et al. 2020, §2.1)."""
    return 6 * (size.active or size.parameters) * num_tokens


def money(usage: Usage, price: Price) -> float:
    """In the price's currency; cached prompt tokens at their own price."""
    cached = price.prompt if price.cached is None else price.cached
    return (
        (usage.prompt - usage.cached) * price.prompt
        + usage.cached * cached
        + usage.completion * price.completion
    ) / 1e6
