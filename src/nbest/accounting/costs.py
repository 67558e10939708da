"""FLOPs and money from token counts, model sizes and prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, NamedTuple, TypeVar

from msgspec import Meta

from nbest.types import Spent, Value

T = TypeVar("T")
_Money = Annotated[float, Meta(ge=0)]
_Count = Annotated[float, Meta(gt=0)]


class ModelSize(Value, frozen=True, kw_only=True):
    """How large a model is, in parameters."""

    parameters: _Count
    active: _Count | None = None
    """Parameters that one token passes through: fewer than all in a mixture of experts. None: all."""
    attention: _Count | None = None
    """Layers × width of all queries' heads together: what a token's attention to one other token multiplies with
    each of keys and values. None: not known, and attention over the context is left out."""


class Price(Value, frozen=True, kw_only=True):
    """What a model's tokens cost, per million, in any currency."""

    prompt: _Money
    completion: _Money
    cached: _Money | None = None
    """Of prompt tokens that the engine had in its cache. None: as much as other prompt tokens."""


class Costs(NamedTuple):
    """Model sizes and prices, each by the name of an engine or a role (`entry_for`)."""

    sizes: Mapping[str, ModelSize] = {}
    prices: Mapping[str, Price] = {}
    with_attention: bool = False
    """Whether FLOPs count attention over the context, where a model's shape is known."""

    def flops(self, spent: Iterable[Spent]) -> float | None:
        """Of all engines together; None where one of them has no size, or nothing was spent."""
        found: list[float] = []
        for part in spent:
            size = entry_for(part, self.sizes)
            if size is None:
                return None
            flops = inference_flops(part, size)
            if self.with_attention:
                flops += attention_flops(part.context, size)
            found.append(flops)
        return sum(found) if found else None

    def money(self, spent: Iterable[Spent]) -> float | None:
        """Of all engines together; None where one of them has no price, or nothing was spent."""
        found: list[float] = []
        for part in spent:
            price = entry_for(part, self.prices)
            if price is None:
                return None
            found.append(money(part, price))
        return sum(found) if found else None


def entry_for(spent: Spent, table: Mapping[str, T]) -> T | None:
    """The entry of the engine that was used: by engine and model, else by the engine's name in the configuration,
    else by the role, else the policy's; None without any.

    An engine called "policy" goes by the role first: it serves every role that has no engine of its own.
    """
    names = (spent.model, "" if spent.engine == "policy" else spent.engine, spent.role, "policy")
    return next((table[name] for name in names if name in table), None)


def inference_flops(spent: Spent, size: ModelSize) -> float:
    """2 · P · tokens, P the active parameters (Kaplan et al. 2020, §2.1).

    Tokens are those computed: completion tokens, and prompt tokens without those that the outcome had computed
    before (`Spent.reused`). Attention over the context is left out, as in the source.
    """
    return 2 * (size.active or size.parameters) * num_computed(spent)


def num_computed(spent: Spent) -> int:
    """Input and output tokens without those that the outcome had computed before."""
    return spent.usage.prompt - spent.reused + spent.usage.completion


def attention_flops(context: int, size: ModelSize) -> float:
    """4 · layers · width · context: a product with the key and one with the value of each token attended to.

    `context` is the sum over tokens (`Spent.context`). Small until contexts are long. 0 where the model's shape is
    not known; layers that attend to a window are counted as if they attended to all.
    """
    return 4 * (size.attention or 0.0) * context


def training_flops(num_tokens: float, size: ModelSize) -> float:
    """6 · P · tokens: forward, and backward at twice its cost (Kaplan et al. 2020, §2.1)."""
    return 6 * (size.active or size.parameters) * num_tokens


def money(spent: Spent, price: Price) -> float:
    """In the price's currency; prompt tokens that the outcome had computed before at the price of cached ones."""
    cached_price = price.cached
    if cached_price is None:
        cached_price = price.prompt
    new = (spent.usage.prompt - spent.reused) * price.prompt
    reused = spent.reused * cached_price
    completion = spent.usage.completion * price.completion
    return (new + reused + completion) / 1e6
