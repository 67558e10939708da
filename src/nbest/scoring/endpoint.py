"""JSON calls to servers that score or embed: pooled, tried again where that may help, and metered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from nbest.context import Context
from nbest.errors import EngineError, EngineHttpError, EngineProtocolError, EngineTimeoutError, InputError
from nbest.http_client import HttpClient
from nbest.scoring.per_loop import per_loop
from nbest.types import Completion, Json, Usage

T = TypeVar("T")

_TRIES = 3
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0
_UNAUTHORIZED = frozenset({401, 403})


class TokenCount(msgspec.Struct):
    """`usage` as OpenAI, vLLM and Jina write it."""

    prompt_tokens: int | None = None
    total_tokens: int | None = None

    @property
    def prompt(self) -> int:
        """Tokens read; such servers write none."""
        if self.prompt_tokens is not None:
            return self.prompt_tokens
        return self.total_tokens or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address that takes JSON. Calls share a pool of connections; the key goes to no other host."""

    url: str
    key_env: str | None = None
    timeout_s: float = 120.0

    async def post(self, body: Mapping[str, Json], answer: type[T], ctx: Context) -> T:
        """The reply, decoded. Transient faults are tried again, up to three times in all.

        Raises `EngineError` (the deadline included), and `InputError` for a key that is refused.
        """
        return await before_deadline(self.ask(body, answer), ctx, urlsplit(self.url).netloc)

    async def ask(self, body: Mapping[str, Json], answer: type[T]) -> T:
        """As `post`, for prompts with other deadlines, or none."""
        http = await per_loop(
            self, lambda: HttpClient(self.url, key_env=self.key_env, timeout_s=self.timeout_s)
        )
        raw = await _persist(http, msgspec.json.encode(body))
        try:
            return msgspec.json.decode(raw, type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise EngineProtocolError(f"{http.host} gave no such answer as was asked for: {e}") from None


async def _persist(http: HttpClient, body: bytes) -> bytes:
    for i in range(_TRIES):
        try:
            return await http.post("", body)
        except EngineError as e:
            if isinstance(e, EngineHttpError) and e.status in _UNAUTHORIZED:
                raise InputError(str(e)) from None
            if i == _TRIES - 1 or not e.is_transient or isinstance(e, EngineTimeoutError):
                raise
            await asyncio.sleep(_wait_s(e, i))
    raise AssertionError  # the last try returns or raises


def _wait_s(error: EngineError, i: int) -> float:
    """How long to wait after try `i`: what the server asks for, else twice as long each time."""
    if isinstance(error, EngineHttpError) and error.retry_after_s is not None:
        return min(error.retry_after_s, _LONGEST_WAIT_S)
    return _FIRST_WAIT_S * 2**i


async def before_deadline(work: Awaitable[T], ctx: Context, who: str) -> T:
    """The result of `work`. Raises `EngineTimeoutError`, naming `who`, at the prompt's deadline."""
    try:
        async with asyncio.timeout(ctx.seconds_left):
            return await work
    except TimeoutError:
        ctx.stopped = "deadline"
        raise EngineTimeoutError(f"{who} did not answer before the deadline") from None


async def in_time(work: Awaitable[T], ctx: Context, name: str) -> T | None:
    """The result of `work`; None and a note at the prompt's deadline. Raises `EngineError`."""
    try:
        return await before_deadline(work, ctx, name)
    except EngineTimeoutError as e:
        if ctx.stopped != "deadline":
            raise
        ctx.note(f"no scores: {e}")
        return None


def count_call(ctx: Context, prompt_tokens: int = 0, calls: int = 1) -> None:
    """Counts calls as the verifier's, and the tokens that they read where the server reports them."""
    ctx.meter.count("verifier", [Completion(text="", usage=Usage(prompt=prompt_tokens, calls=calls))])
