"""Which model and which strategy answer a request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from nbest import registry
from nbest.errors import NbestError
from nbest.identity_cache import remembered_by_identity
from nbest.protocols import Strategy
from nbest.serve.api.bad_request import shortened
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api_errors import ApiError
from nbest.serve.policies import open_strategy
from nbest.settings.gateway import ServeSettings
from nbest.suggestions import nearest
from nbest.types import Json

AT = "@"
"""Between a model and a strategy or preset, in the names that clients may use."""
_NO_LIMIT = 2**31
_HALF_CHARACTER = re.compile(r"\\(?:u|U0000)[dD][89a-fA-F]")
"""An escape of a surrogate in a spec; Python's literals have no pairs of them."""


class StrategyChoice(NamedTuple):
    """What the gateway answers one request with."""

    model: str
    """The upstream's name for it."""
    strategy: Strategy
    label: str
    """A preset's name, or the strategy's registry name: a label of metrics."""
    is_clients: bool
    """Whether the client wrote the strategy, and not the configuration."""


class Strategies:
    """The strategies of one configuration: its own, and its presets."""

    def __init__(self, settings: ServeSettings) -> None:
        """Raises `SpecError` for a strategy that does not exist."""
        self._serve = settings.serve
        self.default: Strategy = registry.parse("strategies", settings.strategy_spec)
        self.presets: dict[str, Strategy] = {
            name: registry.parse("strategies", spec) for name, spec in settings.presets.items()
        }

    def choose(self, request: GatewayRequest, models: Sequence[str]) -> StrategyChoice:
        """The model and the strategy that a request names. Raises `ApiError` where there is none of that name.

        The model's name may be followed by `@` and a preset or spec, or be that of a preset; `nbest.strategy`
        wins over both.
        """
        model, spec = self._split(request.model, models)
        spec = request.nbest.strategy or spec
        if not spec:
            label = registry.name_of(type(self.default))
            return StrategyChoice(model, self.default, label, is_clients=False)
        if spec in self.presets:
            return StrategyChoice(model, self.presets[spec], spec, is_clients=False)

        strategy = self._of_client(spec)
        return StrategyChoice(model, strategy, registry.name_of(type(strategy)), is_clients=True)

    def rows(self, models: Sequence[str]) -> list[dict[str, Json]]:
        """What GET /v1/models lists: the upstream's models, and each with each preset."""
        rows: list[dict[str, Json]] = [
            {"id": model, "nbest": {"strategy": public_spec(self.default)}} for model in models
        ]
        rows += [
            {"id": f"{model}{AT}{name}", "nbest": {"strategy": public_spec(strategy), "preset": name}}
            for model in models
            for name, strategy in self.presets.items()
        ]
        return rows

    def _split(self, name: str, models: Sequence[str]) -> tuple[str, str]:
        """A model, and the spec or preset that the name goes on with, or nothing."""
        served = [m for m in models if f"{name}{AT}".startswith(f"{m}{AT}")]
        model = max(served, key=len, default="")  # a model's name may hold an @ of its own
        before, at, spec = name.removeprefix(model).partition(AT)
        if not at and before in self.presets:
            return models[0], before
        if not model:
            raise self._not_served(shortened(before), models)
        if at and not spec:
            raise ApiError(
                400, f"the model {shortened(name)!r} names no strategy behind its @", param="model"
            )
        return model, spec

    def _not_served(self, name: str, models: Sequence[str]) -> ApiError:
        near = nearest(name, [*models, *self.presets])
        hint = f"; did you mean {near!r}?" if near else ":"
        return ApiError(
            404,
            f"the model {name!r} is not served{hint} GET /v1/models lists the names",
            param="model",
            code="model_not_found",
        )

    def _of_client(self, spec: str) -> Strategy:
        if not self._serve.strategies_by_clients:
            known = ", ".join(self.presets) or "none"
            raise ApiError(
                400, f"strategy {shortened(spec)!r} is no preset; this server has: {known}", param="strategy"
            )
        if _HALF_CHARACTER.search(spec):
            message = "strategy holds half a character, such as \\ud83d: cut texts between characters"
            raise ApiError(400, message, param="strategy")
        try:
            return open_strategy(spec, max_n=self._serve.max_n)
        except NbestError as e:
            raise ApiError(400, str(e), param="strategy") from None


def public_spec(strategy: Strategy) -> str:
    """The spec of a strategy as clients may see it.

    Only the strategy's name where the spec holds what clients may not write themselves: it may say
    addresses, files and names of variables that hold keys.
    """
    return _public_spec(strategy)


@remembered_by_identity
def _public_spec(strategy: Strategy) -> str:
    spec = registry.spec_of(strategy)
    try:
        open_strategy(spec, max_n=_NO_LIMIT)
    except NbestError:
        return registry.name_of(type(strategy))
    return spec
