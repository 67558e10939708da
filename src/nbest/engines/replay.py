"""Recorded pools as an engine: another strategy on the same samples, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from nbest.datasets import read_pools
from nbest.engines.prefix import PrefixStripper
from nbest.errors import CapabilityError
from nbest.protocols import Capabilities, OnDelta, ServerPath
from nbest.types import Candidate, Completion, Logprobs, Prompt, Request, SamplingParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Draws from the candidates of a run directory or a JSONL file of pools, each once; steps of a search are left out.

    A draw takes the candidate that was recorded under the same parameters and seed, else the next one
    under the same parameters, else the next one recorded without parameters. A draw for which none is
    left fails; candidates that failed when recorded fail again.
    """

    is_open_to_clients: ClassVar[bool] = False

    path: ServerPath
    _pools: dict[str, list[Candidate]] = field(
        init=False, repr=False, compare=False, default_factory=dict[str, list[Candidate]]
    )

    def __post_init__(self) -> None:
        for pool in read_pools(self.path):
            self._pools[pool.prompt.id] = [c for c in pool.candidates if c.finish != "step"]

    @property
    def name(self) -> str:
        return f"replay/{self.path}"

    async def capabilities(self) -> Capabilities:
        return Capabilities()

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        drawn = [self._take(request, request.params_of(i).seed) for i in range(request.n)]
        if on_delta and request.n == 1:
            PrefixStripper(on_delta).emit_rest(drawn[0])
        return drawn

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        """Those of the recorded candidate with this text. Raises `CapabilityError` without one."""
        for candidate in self._pools.get(prompt.id, ()):
            if candidate.text == text and candidate.logprobs:
                return candidate.logprobs
        raise CapabilityError(f"{self.path} holds no log-probabilities of that text for prompt {prompt.id!r}")

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def _take(self, request: Request, seed: int | None) -> Completion:
        pool = self._pools.get(request.prompt.id, [])
        if pool:
            best = min(range(len(pool)), key=lambda i: (_distance(pool[i].params, request.params, seed), i))
            if _distance(pool[best].params, request.params, seed) < _OTHER_PARAMETERS:
                return _completion(pool.pop(best))
        return Completion(
            text="",
            finish="error",
            error=f"{self.path} has no further candidate for prompt {request.prompt.id!r}"
            f" at temperature {request.params.temperature:g}",
        )


_OTHER_PARAMETERS = 3


def _distance(recorded: SamplingParams | None, wanted: SamplingParams, seed: int | None) -> int:
    """0: the same draw; 1: another draw under the same parameters; 2: recorded without parameters; 3: other parameters."""
    if recorded is None:
        return 2
    if _how(recorded) != _how(wanted):
        return _OTHER_PARAMETERS
    return int(recorded.seed != seed)


def _how(params: SamplingParams) -> tuple[float, ...]:
    return params.temperature, params.top_p, params.top_k, params.min_p


def _completion(c: Candidate) -> Completion:
    return Completion(
        text=c.text,
        finish=c.finish,
        usage=c.usage,
        logprobs=c.logprobs,
        error=c.error,
        stopped_by=c.stopped_by,
        tool_calls=c.tool_calls,
        reasoning=c.reasoning,
    )
