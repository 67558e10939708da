"""Logs: one JSON object a line, without prompts and answers unless they are asked for."""

from __future__ import annotations

import logging
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import IO, Any

import msgspec

from nbest.errors import EngineHttpError
from nbest.serve.observability.background import Background
from nbest.serve.observability.minutely_log import PERIOD_S
from nbest.types import Json, Outcome, Usage

_QUEUE = 10_000
_FLOOD = 100
"""Lines a minute of one message of a module; further ones are left out and counted."""
_MAX_MESSAGES = 1000
_QUOTING_HEADERS = frozenset({"aiohttp.server"})
"""Loggers whose errors quote the head of a malformed request, where keys stand."""
_encode = msgspec.json.Encoder().encode


class Logs:
    """Writes lines to `stream` (standard error) from a thread: a reader that stalls costs lines, no requests.

    With `prompts`, lines also hold prompts, answers and messages of errors, which may quote them.
    """

    def __init__(self, stream: IO[str] | None = None, *, prompts: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._prompts = prompts
        self._background = Background(self._write, size=_QUEUE, name="nbest-logs")

    @property
    def num_dropped(self) -> int:
        """Lines that were not written."""
        return self._background.num_dropped + self._background.num_failed

    def request(
        self,
        request_id: str,
        *,
        key: str,
        endpoint: str,
        status: int,
        seconds: float,
        model: str | None = None,
        strategy: str | None = None,
        outcome: Outcome | None = None,
        error: BaseException | None = None,
        upstream_errors: Iterable[BaseException] = (),
        fields: Mapping[str, Json] = {},
        ended_at: float | None = None,
    ) -> None:
        """Logs a request that ended at that Unix time, or now. `fields` are written as they are: they must hold no prompt."""
        line: dict[str, Any] = {
            "time": _timestamp(ended_at),
            "level": "info" if status < 500 else "error",  # noqa: PLR2004
            "event": "request",
            "id": request_id,
            "key": key,
            "endpoint": endpoint,
            "model": model,
            "strategy": strategy,
            "status": status,
            "seconds": round(seconds, 6),
        }
        if outcome is not None:
            line |= _counts(outcome)
        if error is not None:
            line["error"] = getattr(error, "code", None) or getattr(error, "kind", None) or _kind(error)
        kinds = Counter(map(_kind, upstream_errors))
        if kinds:
            line["upstream_errors"] = kinds
        if self._prompts:
            line |= _texts(outcome, error)
        self._background.offer({**line, **fields})

    def handler(self) -> logging.Handler:
        """A handler for `logging`, so that messages of libraries and other modules become lines of the same form."""
        return _Handler(self._background, prompts=self._prompts)

    def close(self, seconds: float = 2.0) -> bool:
        """Writes what waits; whether it was all done within `seconds`. Blocks; may be called twice."""
        return self._background.close(seconds)

    def _write(self, line: dict[str, Any]) -> None:
        self._stream.write(_encode(line).decode() + "\n")
        self._stream.flush()


class _Handler(logging.Handler):
    def __init__(self, background: Background[dict[str, Any]], *, prompts: bool) -> None:
        super().__init__()
        self._background = background
        self._prompts = prompts
        self._num_by_message: Counter[tuple[str, int, str]] = Counter()
        self._counted_since = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        num_before = self._num_this_minute(record)
        if num_before > _FLOOD:
            return
        line: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "event": "log",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if num_before == _FLOOD:
            line["message"] += " (left out from here on, for a minute)"
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            # An exception's message may quote a prompt; the place where it was raised never does.
            line["error"] = _kind(error)
            line["at"] = [
                f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)
            ]
            if self._prompts and record.name not in _QUOTING_HEADERS:
                line["error_message"] = str(error)
        self._background.offer(line)

    def _num_this_minute(self, record: logging.LogRecord) -> int:
        """How many lines of the same message there were before this one, within this minute."""
        is_over = record.created - self._counted_since >= PERIOD_S
        if is_over or len(self._num_by_message) > _MAX_MESSAGES:
            self._num_by_message.clear()
            self._counted_since = record.created
        message = (record.name, record.levelno, str(record.msg))
        self._num_by_message[message] += 1
        return self._num_by_message[message] - 1


def _counts(outcome: Outcome) -> dict[str, Any]:
    return {
        "tokens": {role: _tokens(usage) for role, usage in outcome.usage.items()},
        "candidates": len(outcome.candidates),
        "failed": sum(not c.is_usable for c in outcome.candidates),
        "stopped": outcome.stopped,
    }


def _tokens(usage: Usage) -> dict[str, int]:
    """Tokens and calls; `cached` is a part of `input`."""
    return {
        "input": usage.prompt,
        "cached": usage.cached,
        "output": usage.completion,
        "calls": usage.calls,
    }


def _texts(outcome: Outcome | None, error: BaseException | None) -> dict[str, Any]:
    """What people wrote and models answered."""
    texts: dict[str, Any] = {}
    if error is not None:
        texts["message"] = str(error)
    if outcome is not None:
        errors = (outcome.error, *(c.error for c in outcome.candidates))
        texts["prompt"] = outcome.prompt.messages
        texts["answer"] = outcome.text
        texts["messages"] = [message for message in errors if message]
    return texts


def _kind(error: BaseException) -> str:
    name = type(error).__name__
    return f"{name} {error.status}" if isinstance(error, EngineHttpError) else name


def _timestamp(at: float | None) -> str:
    """ISO 8601 of a Unix time, or of now."""
    time = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
