"""Engines within engines: what is behind layers such as `retry` and `failover`, and whether it is given up on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from nbest.engines.layers import Breaker, EngineGroup, Hedge, Limit, Retry
from nbest.engines.openai.openai import OpenAI
from nbest.protocols import Engine


def guarded(engine: Engine) -> Engine:
    """An engine over the network in a circuit breaker, where it has none; `failover` and `balance` have their own."""
    inner: Any = engine
    while isinstance(inner, Retry | Limit | Hedge):
        inner = inner.engine
    is_bare = inner is not engine and isinstance(inner, OpenAI)
    return Breaker(engine=engine) if is_bare else engine


def within(engine: Any) -> Iterator[Any]:
    """An engine and those inside it, in the order in which they are called."""
    yield engine
    for inner in _inner(engine):
        yield from within(inner)


def leaves(engine: Any) -> list[Any]:
    """The engines inside all layers, in the order in which they are called."""
    return [e for e in within(engine) if not _inner(e)]


def unlayered(engine: Any) -> Any:
    """The engine inside all layers; of several, the first."""
    return leaves(engine)[0]


def model_name(engine: Any) -> str:
    """The name of an engine's model for clients: of a GGUF file its stem."""
    model = getattr(engine, "model", None)
    if not isinstance(model, str):
        return engine.name.rpartition("/")[2]
    return PurePath(model).stem if model.endswith(".gguf") else model


def is_given_up(engine: Any) -> bool:
    """Whether every way to an answer is behind an open circuit breaker; `failover` and `balance` have one for each engine."""
    if isinstance(engine, Breaker) and engine.state == "open":
        return True
    if isinstance(engine, EngineGroup) and set(engine.states.values()) == {"open"}:
        return True
    inner = _inner(engine)
    return bool(inner) and all(map(is_given_up, inner))


def _inner(engine: Any) -> Sequence[Any]:
    """The engines that a layer calls; none of an engine that is no layer."""
    one = getattr(engine, "engine", None)
    several = () if one is None else (one,)
    return getattr(engine, "engines", several)
