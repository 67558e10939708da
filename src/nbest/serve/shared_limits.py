"""Limits of keys that all replicas count together, in Redis."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

from nbest.errors import MissingExtraError
from nbest.serve.api_errors import ApiError
from nbest.serve.key_limits import rate_limited
from nbest.serve.observability.minutely_log import MinutelyLog
from nbest.serve.spending import day_of, over_budget
from nbest.settings.gateway import Key

log = logging.getLogger("nbest.serve")
PASSWORD_VARIABLE: Final = "NBEST_REDIS_PASSWORD"  # noqa: S105 (its name)
_TIMEOUT_S = 0.5
"""Longest wait for Redis: it answers in less than a millisecond, or something is wrong."""
_REST_S = 2.0
"""After a failure, until Redis is asked again; requests do not wait for it meanwhile."""
_LEASE_S = 60.0
_RENEW_S = 20.0
_MAX_CONNECTIONS = 16
_MAX_UNSETTLED = 100_000
_CLOSE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settlement:
    """What a request that is over took."""

    key: Key
    request_id: str
    day: int
    num_tokens: int
    money: float
    is_leased: bool
    """Whether Redis admitted the request."""
    is_retry: bool = False


class SharedLimits:
    """Requests and tokens a minute, requests at once, and money a day, by the key's name.

    Where Redis does not answer within 0.5 s, requests are admitted by this replica's own limits alone, and it is
    asked again after 2 s; what was spent meanwhile is counted when it answers. A replica that dies holds its
    requests under way for 60 s.
    """

    def __init__(self, url: str, *, on_total: Callable[[str, float], object]) -> None:
        """`on_total` gets a key's name and what it has spent today. Raises `MissingExtraError` without the extra `redis`."""
        try:
            library: Any = importlib.import_module("redis.asyncio")
            retry: Any = importlib.import_module("redis.asyncio.retry")
            backoff: Any = importlib.import_module("redis.backoff")
            errors: Any = importlib.import_module("redis.exceptions")
        except ImportError:
            raise MissingExtraError("redis", "redis") from None
        pool = library.BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=_TIMEOUT_S,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=retry.Retry(backoff.NoBackoff(), 0),
            decode_responses=True,
            **_password(),
        )
        self._redis = library.Redis.from_pool(pool)
        script = files("nbest.serve").joinpath("shared_limits.lua").read_text(encoding="utf-8")
        self._script = self._redis.register_script(script)
        self._failures: tuple[type[Exception], ...] = (errors.RedisError, OSError, TimeoutError)
        self._on_total = on_total
        self._unavailable = MinutelyLog(log)
        self._asked_again_at = 0.0
        self._key_by_lease: dict[str, Key] = {}
        """By the id of a request under way."""
        self._waiting: deque[_Settlement] = deque(maxlen=_MAX_UNSETTLED)
        self._settling: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether Redis answered when it was asked last."""
        return not self._asked_again_at

    @property
    def _may_ask(self) -> bool:
        return time.monotonic() >= self._asked_again_at

    @property
    def num_unsettled(self) -> int:
        """Requests that are over and not counted in Redis yet."""
        return len(self._waiting)

    async def admit(self, key: Key, request_id: str, *, num_tokens: int = 0, money: float = 0.0) -> None:
        """Admits a request, and sets the tokens and money aside that it may take; `settle` ends it.

        Raises `ApiError` (429), which costs the key nothing.
        """
        if not _has_limits(key):
            return
        limits = (key.requests_per_minute, key.tokens_per_minute, key.concurrency, key.money_per_day)
        numbers = ["" if limit is None else limit for limit in limits]
        answer = await self._ask(key, "admit", request_id, _LEASE_S, *numbers, num_tokens, money)
        if answer is None:
            return
        verdict, wait_s = answer
        match verdict:
            case "ok":
                self._key_by_lease[request_id] = key
                self._keep_renewing()
            case "money":
                raise over_budget(key, time.time())
            case _:
                raise _refusal(key, verdict, wait_s)

    def settle(self, key: Key, request_id: str, *, num_tokens: int, money: float) -> None:
        """A request is over, and took this; Redis is told in a task of its own."""
        if not _has_limits(key):
            return
        is_leased = self._key_by_lease.pop(request_id, None) is not None
        settlement = _Settlement(
            key=key,
            request_id=request_id,
            day=day_of(time.time()),
            num_tokens=num_tokens,
            money=money,
            is_leased=is_leased,
        )
        self._spawn(self._settle(settlement))

    async def aclose(self) -> None:
        """Counts what waits, for two seconds at most, and closes the connections."""
        if self._renewing:
            self._renewing.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.gather(*self._settling)
                await self._settle_waiting()
        if self._waiting:
            log.warning("%d requests were not counted in Redis", len(self._waiting))
        with contextlib.suppress(*self._failures):
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()

    async def _settle(self, settlement: _Settlement) -> None:
        is_asked = self._may_ask
        if not await self._try_settle(settlement):
            # Redis may have counted what it was asked, and not have said so.
            self._waiting.append(replace(settlement, is_retry=settlement.is_retry or is_asked))

    async def _try_settle(self, settlement: _Settlement) -> bool:
        """Whether Redis has counted it."""
        tokens_per_minute = settlement.key.tokens_per_minute
        answer = await self._ask(
            settlement.key,
            "settle",
            settlement.request_id,
            int(settlement.is_leased),
            int(settlement.is_retry),
            "" if tokens_per_minute is None else tokens_per_minute,
            settlement.num_tokens,
            f"{settlement.money:.9f}",
            day=settlement.day,
        )
        return answer is not None

    async def _settle_waiting(self) -> None:
        while self._waiting:
            settlement = self._waiting.popleft()
            await self._settle(settlement)
            if not self.is_up:
                return

    async def _ask(
        self, key: Key, command: str, *arguments: object, day: int | None = None
    ) -> tuple[str, float] | None:
        """The script's verdict, and for how long to wait; None where Redis does not answer."""
        if not self._may_ask:
            return None
        today = day_of(time.time())
        day = today if day is None else day
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                verdict, wait_s, total = await self._script(
                    keys=_keys(key.name, day), args=[command, *arguments]
                )
        except self._failures as e:
            self._asked_again_at = time.monotonic() + _REST_S
            # Without the message, which may hold the address.
            self._unavailable.warning(
                "Redis does not answer (%s): each replica counts the limits of keys for itself",
                type(e).__name__,
            )
            return None

        was_down, self._asked_again_at = bool(self._asked_again_at), 0.0
        if was_down:
            log.info("Redis answers again")
            self._spawn(self._settle_waiting())
        if day == today:
            self._on_total(key.name, float(total))
        return verdict, float(wait_s)

    def _keep_renewing(self) -> None:
        if self._renewing is None:
            self._renewing = asyncio.ensure_future(self._renew())

    async def _renew(self) -> None:
        """Prolongs the leases of requests under way, for ever; and tries Redis again where something waits."""
        while True:
            await asyncio.sleep(_RENEW_S)
            ids_by_key: dict[Key, list[str]] = {}
            for request_id, key in self._key_by_lease.items():
                ids_by_key.setdefault(key, []).append(request_id)
            for key, ids in ids_by_key.items():
                await self._ask(key, "renew", _LEASE_S, *ids)
            await self._settle_waiting()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)


def _has_limits(key: Key) -> bool:
    limits = (key.requests_per_minute, key.tokens_per_minute, key.concurrency, key.money_per_day)
    return any(limit is not None for limit in limits)


def _keys(name: str, day: int) -> list[str]:
    """Redis' names of what is kept of a key. A cluster keeps those with the same part in braces on one node."""
    start = f"nbest:{{{quote(name, safe='')}}}"
    return [f"{start}:levels", f"{start}:requests", f"{start}:money:{day}"]


def _refusal(key: Key, kind: str, wait_s: float) -> ApiError:
    match kind:
        case "concurrency":
            return rate_limited(
                key, f"has {key.concurrency} requests under way, as many as it may", "requests", wait_s
            )
        case "requests":
            return rate_limited(
                key, f"may send {key.requests_per_minute} requests a minute", "requests", wait_s
            )
        case _:
            return rate_limited(key, f"may spend {key.tokens_per_minute} tokens a minute", "tokens", wait_s)


def _password() -> dict[str, str]:
    password = os.environ.get(PASSWORD_VARIABLE)
    return {"password": password} if password else {}
