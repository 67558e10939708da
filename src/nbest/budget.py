"""What one prompt may cost: what of its budget is granted, what is left, and the deadline that calls see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from math import floor, inf
from typing import Literal, NamedTuple

import msgspec

from nbest.accounting.tokens import estimated_tokens, prompt_tokens
from nbest.types import Budget, Completion, Json, Prompt, Request, Usage, replace

STEPS = 8
"""Steps that an answer is supposed to have, before a search has finished one."""
_ROUNDING = 1e-9

_deadline_at: ContextVar[float] = ContextVar("_deadline_at", default=inf)
"""On the clock of `time.monotonic`."""


@asynccontextmanager
async def deadline(seconds: float | None) -> AsyncGenerator[None]:
    """`asyncio.timeout(seconds)`, which `seconds_left` sees inside the block; None is no deadline.

    Raises `TimeoutError` at the deadline.
    """
    if seconds is None:
        yield
        return

    token = _deadline_at.set(min(_deadline_at.get(), time.monotonic() + seconds))
    try:
        async with asyncio.timeout(seconds):
            yield
    finally:
        _deadline_at.reset(token)


def seconds_left() -> float:
    """Seconds until the innermost `deadline` around the caller; infinite without one."""
    return _deadline_at.get() - time.monotonic()


class Grant(NamedTuple):
    """What the budget allows of one request."""

    request: Request | None
    """The request with the draws and `max_tokens` that are granted; None where nothing is."""
    stopped: Literal["budget", "deadline"] | None = None
    """What cut the request; None where it is granted whole."""
    is_cut_by_reservations: bool = False
    """Whether tokens that are reserved, and may yet come back, cut it."""


class BudgetLedger:
    """The budget of one prompt. Draws are reserved at `max_tokens` before they begin; what they leave comes back."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._num_samples = 0
        """Granted, steps of searches left out."""
        self._num_held_back = 0
        """Samples, by `held_back`."""
        self._num_steps = 0
        """Granted."""
        self._steps_per_answer = float(STEPS)
        self._num_finished = 0
        """Answers that steps have finished."""
        self._num_tokens = 0
        """Drawn, or reserved for draws under way."""
        self._flops = 0.0
        """Spent, or reserved for draws under way."""
        self._num_input_chars = 0
        """Of the prompts of draws that were granted."""
        self._last_prompt: tuple[Prompt, int] | None = None
        """The prompt that was counted last, and its characters: the draws of a pool have the same one."""
        self._started = time.monotonic()

    @property
    def samples_left(self) -> int | None:
        """Draws that the budget still allows; None without a limit."""
        if self.budget.samples is None:
            return None
        spent_on_steps = max(self._num_steps / self._steps_per_answer, self._num_finished)
        spent = self._num_samples + self._num_held_back + spent_on_steps
        return floor(self.budget.samples - spent + _ROUNDING)

    def price_steps(self, steps_per_answer: float, num_finished: int) -> None:
        """What is known of a search: how many steps an answer takes, and how many answers its steps have finished."""
        self._steps_per_answer, self._num_finished = steps_per_answer, num_finished

    def _steps_left(self) -> int | None:
        """Steps that the budget still allows, if each of them may finish an answer; None without a limit."""
        if self.budget.samples is None:
            return None
        num_left = self.budget.samples - self._num_samples
        by_share = (num_left - self._num_held_back) * self._steps_per_answer - self._num_steps
        return max(0, min(floor(by_share + _ROUNDING), num_left - self._num_finished))

    @property
    def tokens_left(self) -> int | None:
        """Tokens that the budget still allows, draws under way counted at `max_tokens`; None without a limit."""
        return self._tokens_left("policy", None)

    def _tokens_left(self, role: str, engine: str | None) -> int | None:
        """Tokens that an engine may still draw, by tokens and by FLOPs."""
        limits: list[int] = []
        if self.budget.tokens is not None:
            limits.append(self.budget.tokens - self._num_tokens)
        if self.budget.flops is not None:
            limits.append(floor((self.budget.flops - self._flops) / self._flops_per_token(role, engine)))
        return max(0, min(limits)) if limits else None

    def _flops_per_token(self, role: str, engine: str | None) -> float:
        """0 without a budget of FLOPs."""
        if self.budget.flops is None:
            return 0.0
        names = (engine or "", role, "policy")
        return 2 * next(self.budget.sizes[name] for name in names if name in self.budget.sizes)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the deadline, at least 0; None without one."""
        if self.budget.seconds is None:
            return None
        return max(0.0, self.budget.seconds - (time.monotonic() - self._started))

    def can_grant(self, requests: Sequence[Request]) -> bool:
        """Whether the budget has room for all of `requests`, every draw at its `max_tokens`."""
        num_samples = sum(r.n for r in requests if not r.is_step)
        num_steps = sum(r.n for r in requests if r.is_step)
        num_tokens = sum(r.n * r.params.max_tokens for r in requests)

        samples_left, tokens_left = self.samples_left, self.tokens_left
        if samples_left is not None and num_samples > samples_left:
            return False
        steps_left = self._steps_left()
        if steps_left is not None and num_steps > steps_left:
            return False
        if self.budget.input_chars is not None:
            num_chars = sum(r.n * self._input_chars(r) for r in requests)
            if num_chars > self.budget.input_chars - self._num_input_chars:
                return False
        if tokens_left is not None and num_tokens > tokens_left:
            return False
        if self.budget.flops is not None:
            flops = sum(self._reserved_flops(r) + self._prompt_flops(r) for r in requests)
            if flops > self.budget.flops - self._flops:
                return False
        return self.seconds_left != 0

    def grant(self, request: Request, *, may_shorten: bool = True) -> Grant:
        """Reserves as much of `request` as the budget allows: fewer draws first, then (`may_shorten`) a shorter one."""
        n, max_tokens = request.n, request.params.max_tokens
        num_chars = 0
        if self.budget.input_chars is not None:
            num_chars = self._input_chars(request)
            n = min(n, max(0, self.budget.input_chars - self._num_input_chars) // num_chars)
        num_left = self._steps_left() if request.is_step else self.samples_left
        if num_left is not None:
            n = min(n, num_left)

        is_cut_by_reservations = False
        tokens_left = self._tokens_left(request.role, request.engine)
        if tokens_left is not None and self.budget.flops is not None:
            num_prompt = prompt_tokens(request.prompt) + estimated_tokens(request.prefix)
            tokens_left = max(0, tokens_left - num_prompt)
        if tokens_left is not None and n > 0:
            is_cut_by_reservations = tokens_left < n * max_tokens
            n = min(n, max(int(may_shorten), tokens_left // max_tokens))
            if n:
                max_tokens = min(max_tokens, tokens_left)

        is_whole = (n, max_tokens) == (request.n, request.params.max_tokens)
        stopped = None if is_whole else "budget"
        if n < 1 or max_tokens < 1:
            return Grant(None, stopped, is_cut_by_reservations)
        if self.seconds_left == 0:
            return Grant(None, "deadline", is_cut_by_reservations)

        if request.is_step:
            self._num_steps += n
        else:
            self._num_samples += n
        self._num_tokens += n * max_tokens
        self._num_input_chars += n * num_chars
        if not is_whole:
            request = replace(request, n=n, params=replace(request.params, max_tokens=max_tokens))
        self._flops += self._reserved_flops(request)
        return Grant(request, stopped, is_cut_by_reservations)

    def _input_chars(self, request: Request) -> int:
        """Characters of what an engine is sent for one draw, at least 1."""
        prompt = request.prompt
        if self._last_prompt is None or self._last_prompt[0] is not prompt:
            self._last_prompt = (prompt, prompt_chars(prompt))
        return max(1, self._last_prompt[1] + len(request.prefix))

    def _reserved_flops(self, request: Request) -> float:
        return request.n * request.params.max_tokens * self._flops_per_token(request.role, request.engine)

    def _prompt_flops(self, request: Request) -> float:
        """As estimated."""
        num_tokens = prompt_tokens(request.prompt) + estimated_tokens(request.prefix)
        return num_tokens * self._flops_per_token(request.role, request.engine)

    def settle(self, request: Request, completions: Sequence[Completion], num_reused: int = 0) -> None:
        """Gives back what `completions` leave of the tokens that were reserved for them.

        `num_reused` are input tokens that had been computed before, which take no FLOPs.
        """
        num_prompt = -num_reused
        num_unreserved = 0
        for completion in completions:
            num_prompt += completion.usage.prompt
            num_drawn = completion.usage.completion + completion.hidden.completion
            num_unreserved += num_drawn - request.params.max_tokens
        self._num_tokens += num_unreserved
        flops_per_token = self._flops_per_token(request.role, request.engine)
        self._flops += flops_per_token * (num_prompt + num_unreserved)

    def give_back(self, request: Request) -> None:
        """Gives back the tokens that were reserved for a call which was cut; `charge` counts what it had drawn."""
        self._num_tokens -= request.n * request.params.max_tokens
        self._flops -= self._reserved_flops(request)

    def charge(self, request: Request, usage: Usage, num_reused: int = 0) -> None:
        """Counts what was spent without being reserved: in calls that were cut."""
        self._num_tokens += usage.completion
        num_computed = usage.prompt - num_reused + usage.completion
        self._flops += num_computed * self._flops_per_token(request.role, request.engine)

    @contextmanager
    def held_back(self, samples: int, tokens: int) -> Generator[None]:
        """Inside the block the budget is smaller by so much, for every grant of this prompt."""
        self._num_held_back += samples
        self._num_tokens += tokens
        flops = tokens * self._flops_per_token("policy", None)
        self._flops += flops
        try:
            yield
        finally:
            self._flops -= flops
            self._num_held_back -= samples
            self._num_tokens -= tokens


def prompt_chars(prompt: Prompt) -> int:
    """Characters of a prompt: texts, images and files as they are sent, tools and schemas."""
    num_chars = 0
    for message in prompt.messages:
        num_chars += len(message.content)
        if message.parts or message.fields:
            num_chars += _chars_of((message.parts, message.fields))
    if prompt.overrides is not None and prompt.overrides.body:
        num_chars += _chars_of(prompt.overrides.body)
    return num_chars


def _chars_of(value: Json) -> int:
    """Of a JSON value as it is sent, in UTF-8."""
    return len(msgspec.json.encode(value))
