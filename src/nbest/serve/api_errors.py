"""Requests that get no answer: the status and the error that the client receives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from nbest.errors import EngineError, EngineHttpError, EngineTimeoutError, UnavailableError
from nbest.serve.api.reply import error_reply
from nbest.types import Json, Outcome

_CLIENT_FAULTS = frozenset({400, 404, 413, 422})
"""Statuses with which an upstream server says that the request is at fault."""
_NO_KEY = 401
_TOO_MANY = 429
_LONGEST_WAIT_S = 600.0


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
        super().__init__(message.encode(errors="replace").decode())  # half characters have no UTF-8
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        self.outcome: Outcome | None = None
        """What was drawn and spent nevertheless."""

    @property
    def body(self) -> dict[str, Json]:
        """The reply's JSON."""
        return error_reply(str(self), kind=self.kind, param=self.param, code=self.code)


def server_error(status: int, message: str, code: str | None = None, wait_s: float | None = None) -> ApiError:
    """An error that is no fault of the request; `wait_s` is when to send it again."""
    return ApiError(status, message, kind="server_error", code=code, retry_after_s=wait_s)


def retry_after(seconds: float) -> float:
    """Seconds for the header Retry-After: whole ones, from 1 to 600."""
    return float(min(max(1, math.ceil(seconds)), _LONGEST_WAIT_S))


def of_outcome(
    outcome: Outcome, errors: Iterable[EngineError], *, redact: Callable[[str], str] = str
) -> ApiError:
    """Why there is no answer. `errors` are those of the calls, in the order they came.

    `redact` takes out of their messages what clients may not read.

    400 for a fault of the request, as the upstream server sees it; 429 for a server that is too busy, with
    its own Retry-After; 503 for one that is given up on for now, with when it is tried again; 504 for
    nothing in time; 502 for everything else.
    """
    each = list(_each(errors))
    error = _of_calls(each) or _of_end(outcome, each)
    error.args = (redact(str(error)),)
    error.outcome = outcome
    return error


def _of_calls(errors: Sequence[EngineError]) -> ApiError | None:
    """What a server's own error says, the most telling one first; None where none of them decides."""
    answered = [e for e in errors if isinstance(e, EngineHttpError)]
    faults = [e for e in answered if e.status in _CLIENT_FAULTS]
    if faults:
        return ApiError(400, str(faults[0]))

    busy = [e for e in answered if e.status == _TOO_MANY]
    if busy:
        return server_error(429, str(busy[0]), "upstream_busy", busy[0].retry_after_s or 1.0)

    given_up = [e for e in errors if isinstance(e, UnavailableError)]
    if given_up:
        wait_s = min(e.retry_after_s for e in given_up) or 1.0
        return server_error(503, str(given_up[0]), "upstream_unavailable", wait_s)

    if any(e.status == _NO_KEY for e in answered):
        message = (
            "the model's server refuses the gateway's own key: whoever runs the gateway has to see to it"
        )
        return server_error(502, message, "upstream_key")
    return None


def _of_end(outcome: Outcome, errors: Sequence[EngineError]) -> ApiError:
    message = outcome.error or "no answer was drawn"
    if outcome.stopped == "deadline" or any(isinstance(e, EngineTimeoutError) for e in errors):
        return server_error(504, f"nothing was there in time: {message}", "deadline")
    if outcome.stopped == "budget":
        return ApiError(400, f"the budget allows no answer: {message}", code="budget")
    return server_error(502, message, "upstream_error")


def _each(errors: Iterable[EngineError]) -> Iterator[EngineError]:
    """The errors themselves, those of several engines that were called in turn one by one."""
    for e in errors:
        yield from _each(e.causes) if e.causes else (e,)
