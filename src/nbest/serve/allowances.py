"""What keys may spend beyond this replica's own limits a minute: money a day, and limits that replicas share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbest.accounting.costs import Costs, Price
from nbest.serve.jobs import Job
from nbest.serve.request_context import RequestContext
from nbest.serve.shared_limits import SharedLimits
from nbest.serve.spending import DailySpending
from nbest.settings.gateway import Key
from nbest.types import Json, Spent


class Allowances:
    """Money that keys spend a day and, where there is a Redis server, their limits over all replicas."""

    def __init__(self, redis: str | None = None) -> None:
        """`redis` is a server's address. Raises `MissingExtraError` without the extra `redis`."""
        self.spending = DailySpending()
        self.shared: SharedLimits | None = None
        if redis is not None:
            self.shared = SharedLimits(redis, on_total=self.spending.set_total)
        self._reserved: dict[str, float] = {}
        """By the request's id."""

    async def admit(self, context: RequestContext, job: Job, prices: Mapping[str, Price]) -> None:
        """Sets aside what the request may cost; `settle` ends it. Raises `ApiError` (429)."""
        expected = job.most_usage
        money = Costs(prices=prices).money([Spent(role="policy", usage=expected)]) or 0.0
        self.spending.reserve(context.key, money)
        if self.shared:
            num_tokens = expected.prompt + expected.completion
            try:
                await self.shared.admit(context.key, context.id, num_tokens=num_tokens, money=money)
            except BaseException:
                self.spending.charge(context.key, reserved=money, spent=0.0)
                raise
        self._reserved[context.id] = money

    def settle(self, context: RequestContext, prices: Mapping[str, Price]) -> None:
        """The request is over: charges its key for what it took."""
        reserved = self._reserved.pop(context.id, None)
        if reserved is None:
            return
        spent = Costs(prices=prices).money(context.observer.meter.spent) or 0.0
        self.spending.charge(context.key, reserved=reserved, spent=spent)
        if self.shared:
            num_tokens = context.observer.num_tokens
            self.shared.settle(context.key, context.id, num_tokens=num_tokens, money=spent)

    def view(self, keys: Iterable[Key]) -> dict[str, Json]:
        """Money of today by key, against its budget; and whether limits are shared."""
        today = self.spending.today
        rows: list[Json] = [
            {"name": key.name, "spent": today.get(key.name, 0.0), "budget": key.money_per_day} for key in keys
        ]
        is_up = None if self.shared is None else self.shared.is_up
        return {"money_today": rows, "redis": is_up}

    async def aclose(self) -> None:
        """Counts what waits to be counted."""
        if self.shared:
            await self.shared.aclose()
