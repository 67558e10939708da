"""A request as work to do: the prompt, the strategy with its pool, the budget."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from nbest import constraints
from nbest.accounting.tokens import prompt_tokens
from nbest.budget import prompt_chars
from nbest.demand import demand_of
from nbest.errors import NbestError
from nbest.identity_cache import remembered_by_identity
from nbest.protocols import Strategy
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api_errors import ApiError
from nbest.serve.strategy_choice import StrategyChoice
from nbest.settings.gateway import Key, Serve, ServeSettings
from nbest.strategies.pool_size import pool_size, with_n
from nbest.types import Budget, Prompt, Usage

_demand_of = remembered_by_identity(demand_of)


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
    most_usage: Usage
    """The tokens that it takes at most, as far as that is known before."""
    created: int
    """Unix time, in seconds."""


async def make_job(
    request: GatewayRequest, choice: StrategyChoice, *, request_id: str, key: Key, settings: ServeSettings
) -> Job:
    """The job of a request. Raises `ApiError` before anything is spent."""
    strategy = _with_pool_of(request, choice.strategy)
    _check_pool(strategy, _largest_pool(key, settings))
    prompt = await _prompt(request, request_id)
    budget = _budget(request, key, settings)
    most_usage = _most_usage(strategy, prompt, budget, key, settings.serve)
    return Job(
        request=request,
        id=request_id,
        model=choice.model,
        prompt=prompt,
        strategy=strategy,
        label=choice.label,
        is_clients_strategy=choice.is_clients,
        seed=settings.seed if request.seed is None else request.seed,
        budget=budget,
        most_usage=most_usage,
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


def _most_usage(strategy: Strategy, prompt: Prompt, budget: Budget, key: Key, serve: Serve) -> Usage:
    """The tokens that an answer takes at most. Raises `ApiError` for more draws or input than the server allows.

    What the client's own budget allows less of is no error: the answer is the best within it.
    """
    demand = _demand_of(strategy)
    if demand.draws > serve.draw_limit(key):
        raise ApiError(
            400,
            f"the strategy may draw {demand.draws} texts, judges' replies and steps included; the limit is"
            f" {serve.draw_limit(key)}: ask for a smaller pool, or fewer rounds",
            param="strategy",
            code="too_many_draws",
        )

    num_chars = prompt_chars(prompt)
    if demand.copies * num_chars > serve.input_limit:
        raise ApiError(
            400,
            f"the strategy may send {demand.copies} copies of a prompt of {num_chars} characters; the limit is"
            f" {serve.input_limit} in all: ask for a smaller pool, or send a shorter prompt",
            param="messages",
            code="too_much_input",
        )

    max_tokens = prompt.overrides.max_tokens if prompt.overrides else None
    num_output = _least(demand.tokens(max_tokens), budget.tokens)
    num_copies = _least(demand.copies, budget.samples)
    return Usage(prompt=num_copies * prompt_tokens(prompt), completion=num_output)


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


def _budget(request: GatewayRequest, key: Key, settings: ServeSettings) -> Budget:
    """The least of what the server, its configuration, the key and the client allow."""
    serve, ours, theirs = settings.serve, settings.budget, request.nbest.budget or Budget()
    deadline = request.nbest.deadline or serve.default_deadline
    return Budget(
        samples=_least(ours.samples, theirs.samples, serve.draw_limit(key)),
        tokens=_least(ours.tokens, theirs.tokens, serve.token_limit),
        input_chars=_least(ours.input_chars, theirs.input_chars, serve.input_limit),
        seconds=_least(ours.seconds, theirs.seconds, deadline, serve.max_deadline),
        flops=ours.flops,
        sizes=ours.sizes,
    )


def _least(*limits: float | None) -> Any:
    return min((x for x in limits if x is not None), default=None)
