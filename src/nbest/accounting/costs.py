"""FLOPs and money from token counts, model sizes and prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from msgspec import Meta

from nbest.types import Usage, Value

_Money = Annotated[float, Meta(ge=0)]
_Count = Annotated[float, Meta(gt=0)]


class ModelSize(Value, frozen=True, kw_only=True):
    """How large a model is, in parameters."""

    parameters: _Count
    active: _Count | None = None
    """Parameters that one token passes through: fewer than all in a mixture of experts. None: all."""


class Price(Value, frozen=True, kw_only=True):
    """What a model's tokens cost, per million, in any currency."""

    prompt: _Money
    completion: _Money
    cached: _Money | None = None
    """Of prompt tokens that the engine had in its cache. None: as much as other prompt tokens."""


class Costs(NamedTuple):
    """Model sizes and prices by role; a role without an entry of its own takes the policy's."""

    sizes: Mapping[str, ModelSize] = {}
    prices: Mapping[str, Price] = {}


def inference_flops(usage: Usage, size: ModelSize) -> float:
    """2 · P · tokens, P the active parameters (Kaplan et al. 2020, §2.1).

    Tokens are those computed: prompt tokens without cached ones, and completion tokens. Attention over the
    context is left out, as in the source: 2 · layers · context · width a token, small until the context is long.
    """
    num_computed = usage.prompt - usage.cached + usage.completion
    return 2 * (size.active or size.parameters) * num_computed


def training_flops(num_tokens: float, size: ModelSize) -> float:
    """6 · P · tokens: forward, and backward at twice its cost (Kaplan et al. 2020, §2.1)."""
    return 6 * (size.active or size.parameters) * num_tokens


def money(usage: Usage, price: Price) -> float:
    """In the price's currency; cached prompt tokens at their own price."""
    cached_price = price.cached
    if cached_price is None:
        cached_price = price.prompt
    uncached = (usage.prompt - usage.cached) * price.prompt
    cached = usage.cached * cached_price
    completion = usage.completion * price.completion
    return (uncached + cached + completion) / 1e6
