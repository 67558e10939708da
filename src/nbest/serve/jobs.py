"""A request as work to do: the prompt, the strategy with its pool, the budget."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from nbest import constraints
from nbest.errors import NbestError
from nbest.protocols import Strategy
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api_errors import ApiError
from nbest.serve.strategy_choice import StrategyChoice
from nbest.settings.gateway import Key, ServeSettings
from nbest.strategies.pool_size import pool_size, with_n
from nbest.types import Budget, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request, checked, with all that answers it."""

    request: GatewayRequest
    id: str
    model: str
    """The upstream's name for it."""
    prompt: Prompt
    strategy: Strategy
    label: str
    """As in `StrategyChoice`."""
    is_clients_strategy: bool
    seed: int
    budget: Budget
    created: int
    """Unix time, in seconds."""


async def make_job(
    request: GatewayRequest, choice: StrategyChoice, *, request_id: str, key: Key, settings: ServeSettings
) -> Job:
    """The job of a request. Raises `ApiError` before anything is spent."""
    strategy = _with_pool_of(request, choice.strategy)
    _check_pool(strategy, _largest_pool(key, settings))
    prompt = await _prompt(request, request_id)
    return Job(
        request=request,
        id=request_id,
        model=choice.model,
        prompt=prompt,
        strategy=strategy,
        label=choice.label,
        is_clients_strategy=choice.is_clients,
        seed=settings.seed if request.seed is None else request.seed,
        budget=_budget(request, settings),
        created=int(time.time()),
    )


def _with_pool_of(request: GatewayRequest, strategy: Strategy) -> Strategy:
    """The strategy with the pool that was asked for, or one that is large enough for `n` answers.

    A strategy whose pool has no single size (`revise`) gives as many answers as it has.
    """
    wanted = max(request.n, request.nbest.n or 0)
    size = pool_size(strategy)
    is_too_small = size is not None and wanted > size
    if not (request.nbest.n or is_too_small):
        return strategy
    try:
        return with_n(strategy, wanted)
    except NbestError as e:
        raise ApiError(400, str(e), param="n") from None


def _largest_pool(key: Key, settings: ServeSettings) -> int:
    return min(settings.serve.max_n, key.max_n or settings.serve.max_n)


def _check_pool(strategy: Strategy, most: int) -> None:
    size = pool_size(strategy)
    if size is not None and size > most:
        raise ApiError(400, f"n: a pool of {size} is above the limit of {most}", param="n")


async def _prompt(request: GatewayRequest, request_id: str) -> Prompt:
    """With a seed, the prompt's id depends on the request alone, so that the same request has the same draws."""
    prompt = Prompt(
        id=request_id if request.seed is None else f"seeded-{_digest(request)}",
        messages=request.messages,
        language=request.nbest.language,
        task=request.nbest.task,
        overrides=request.overrides,
    )
    try:
        await constraints.check(prompt)
    except NbestError as e:
        raise ApiError(400, str(e), param=str(e).partition(" ")[0]) from None
    return prompt


def _digest(request: GatewayRequest) -> str:
    return hashlib.sha256(msgspec.json.encode((request.messages, request.overrides))).hexdigest()[:24]


def _budget(request: GatewayRequest, settings: ServeSettings) -> Budget:
    """The least of what the server, its configuration and the client allow."""
    serve, ours, theirs = settings.serve, settings.budget, request.nbest.budget or Budget()
    deadline = request.nbest.deadline or serve.default_deadline
    return Budget(
        samples=_least(ours.samples, theirs.samples),
        tokens=_least(ours.tokens, theirs.tokens, serve.token_limit),
        seconds=_least(ours.seconds, theirs.seconds, deadline, serve.max_deadline),
    )


def _least(*limits: float | None) -> Any:
    return min((x for x in limits if x is not None), default=None)
