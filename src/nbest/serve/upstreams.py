"""The engines of one configuration, and the models that they serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from nbest.engines.layers import Breaker, Retry
from nbest.engines.openai.openai import OpenAI
from nbest.errors import EngineError
from nbest.protocols import Engine
from nbest.serve.engine_tree import guarded, is_given_up, leaves, model_name, unlayered


class Upstreams:
    """Engines by name ("policy", "judge", …), each in a circuit breaker where it is over the network.

    Where the policy's server has several models and the configuration names none, there is an engine for each.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.engines = {name: guarded(engine) for name, engine in engines.items()}
        self.models: tuple[str, ...] = ()
        """The names of the policy's models, once `start` has returned."""
        self._engine_by_model: dict[str, Engine] = {}

    @property
    def all_engines(self) -> tuple[Engine, ...]:
        """Every engine, those of a server's single models included."""
        return (*self.engines.values(), *self._engine_by_model.values())

    @property
    def is_given_up(self) -> bool:
        """Whether no answer can be drawn now, because every policy engine has failed too often."""
        policies = self._engine_by_model.values() or (self.engines["policy"],)
        return all(map(is_given_up, policies))

    @property
    def completes_texts(self) -> bool:
        """Whether the policy is a base model that continues texts (`mode="completions"`)."""
        return getattr(unlayered(self.engines["policy"]), "mode", None) == "completions"

    def for_model(self, model: str) -> dict[str, Engine]:
        """Engines by name, with the engine of `model` as the policy."""
        own = self._engine_by_model.get(model)
        return dict(self.engines) if own is None else {**self.engines, "policy": own}

    async def start(self) -> None:
        """Asks every engine for its models and capabilities. Raises `NbestError` where one does not answer."""
        policy = self.engines["policy"]
        server = unlayered(policy)
        if isinstance(server, OpenAI) and server.model is None:
            servers = [s for s in leaves(policy) if isinstance(s, OpenAI)]
            self.models = tuple(await _served(servers))
            if len(self.models) > 1 and len(servers) == 1:
                self._engine_by_model = {
                    model: guarded(Retry(engine=replace(server, model=model))) for model in self.models
                }
        else:
            self.models = (model_name(server),)

        for name, engine in self.engines.items():
            if name == "policy" and self._engine_by_model:
                continue
            # A server that is still loading is asked each time, whether or not its circuit breaker is open.
            asked = engine.engine if isinstance(engine, Breaker) else engine
            await asked.capabilities()

    async def aclose(self) -> None:
        """Closes the engines."""
        for engine in self.all_engines:
            await engine.aclose()


async def _served(servers: Sequence[OpenAI]) -> list[str]:
    """The models of the first server that answers. Raises the last one's `EngineError`."""
    for server in servers[:-1]:
        with suppress(EngineError):
            return await server.served()
    return await servers[-1].served()
