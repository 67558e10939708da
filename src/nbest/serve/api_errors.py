"""Requests that get no answer, and what the client is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nbest.errors import EngineError, EngineHttpError, EngineTimeoutError, UnavailableError
from nbest.serve.api.reply import error_reply
from nbest.types import Json, Outcome

_CLIENT_FAULTS = frozenset({400, 404, 413, 422})
"""Statuses with which an upstream server says that the request is at fault."""
_NO_KEY = 401
"""The client has no part in it, and is not told about the gateway's key."""
_TOO_MANY = 429


class ApiError(Exception):
    """An HTTP status, and an error in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        self.outcome: Outcome | None = None
        """What was done all the same."""

    @property
    def body(self) -> dict[str, Json]:
        return error_reply(str(self), kind=self.kind, param=self.param, code=self.code)


def of_outcome(outcome: Outcome, errors: Iterable[EngineError]) -> ApiError:
    """Why there is no answer. `errors` are those of the calls, in the order they came.

    A fault of the request, as the upstream server sees it, is the client's to mend (400); a server that is
    too busy is 429 with its own Retry-After; one that is given up on for now is 503, with when it is tried
    again; nothing in time is 504; everything else is 502.
    """
    refusal = _refusal(outcome, list(_each(errors)))
    refusal.outcome = outcome
    return refusal


def _refusal(outcome: Outcome, errors: list[EngineError]) -> ApiError:
    message = outcome.error or "no answer was drawn"
    http = [e for e in errors if isinstance(e, EngineHttpError)]
    if fault := next((e for e in http if e.status in _CLIENT_FAULTS), None):
        return ApiError(400, str(fault))
    if busy := next((e for e in http if e.status == _TOO_MANY), None):
        wait = busy.retry_after_s or 1.0
        return ApiError(429, str(busy), kind="server_error", code="upstream_busy", retry_after_s=wait)
    if given_up := [e for e in errors if isinstance(e, UnavailableError)]:
        wait = min(e.retry_after_s for e in given_up) or 1.0
        return ApiError(
            503, str(given_up[0]), kind="server_error", code="upstream_unavailable", retry_after_s=wait
        )
    if any(e.status == _NO_KEY for e in http):
        return ApiError(
            502,
            "the model's server refuses the gateway's own key: whoever runs the gateway has to see to it",
            kind="server_error",
            code="upstream_key",
        )
    if outcome.stopped == "deadline" or any(isinstance(e, EngineTimeoutError) for e in errors):
        return ApiError(504, f"nothing was there in time: {message}", kind="server_error", code="deadline")
    if outcome.stopped == "budget":
        return ApiError(400, f"the budget allows no answer: {message}", code="budget")
    return ApiError(502, message, kind="server_error", code="upstream_error")


def _each(errors: Iterable[EngineError]) -> Iterator[EngineError]:
    """Those of every engine that was asked in turn."""
    for e in errors:
        yield from _each(e.causes) if e.causes else (e,)
