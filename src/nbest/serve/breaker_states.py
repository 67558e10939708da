"""What circuit breakers say of the servers behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbest.engines.layers.breaker import Breaker
from nbest.engines.layers.group import EngineGroup
from nbest.protocols import Engine
from nbest.serve.engine_tree import within

_STATES = {"closed": 0.0, "half_open": 0.5, "open": 1.0}


def breaker_states(engines: Iterable[Engine]) -> dict[str, float]:
    """0 closed, 0.5 half open, 1 open, by the name of the engine; the worst of those with one name."""
    worst: dict[str, float] = {}
    for named in engines:
        for engine in within(named):
            for name, state in _states_of(engine).items():
                worst[name] = max(worst.get(name, 0.0), _STATES[state])
    return worst


def _states_of(engine: object) -> Mapping[str, str]:
    """States of an engine's own circuit breakers, by the name of what is behind them."""
    match engine:
        case EngineGroup():
            return engine.states
        case Breaker():
            return {engine.name: engine.state}
        case _:
            return {}
