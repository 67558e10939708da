"""Logs: a JSON object a line. What people wrote, and what models answered, stays out unless asked for."""

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
from nbest.types import Json, Outcome

_QUEUE = 10_000
_OF_HEADERS = frozenset({"aiohttp.server"})
"""Whose errors repeat a malformed request's head, where keys stand."""
_encode = msgspec.json.Encoder().encode


class Logs:
    """Writes lines to `stream` (standard error) from a thread: a reader that stalls loses lines, no requests.

    With `prompts`, lines also hold prompts, answers and messages of errors, which may repeat them.
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
        id_: str,
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
        ended: float | None = None,
    ) -> None:
        """The one line of a request that ended at that Unix time, or now. `fields` are written as they are: they must hold no prompt."""
        line: dict[str, Any] = {
            "time": _now(ended),
            "level": "info" if status < 500 else "error",  # noqa: PLR2004
            "event": "request",
            "id": id_,
            "key": key,
            "endpoint": endpoint,
            "model": model,
            "strategy": strategy,
            "status": status,
            "seconds": round(seconds, 6),
        }
        if outcome is not None:
            line["tokens"] = {
                role: {"prompt": u.prompt, "cached": u.cached, "completion": u.completion, "calls": u.calls}
                for role, u in outcome.usage.items()
            }
            line["candidates"] = len(outcome.candidates)
            line["failed"] = sum(not c.is_usable for c in outcome.candidates)
            line["stopped"] = outcome.stopped
        if error is not None:
            line["error"] = getattr(error, "code", None) or getattr(error, "kind", None) or _kind(error)
        if kinds := Counter(map(_kind, upstream_errors)):
            line["upstream_errors"] = kinds
        if self._prompts:
            if error is not None:
                line["message"] = str(error)
            if outcome is not None:
                line["prompt"] = outcome.prompt.messages
                line["answer"] = outcome.text
                line["messages"] = [m for m in (outcome.error, *(c.error for c in outcome.candidates)) if m]
        self._background.offer({**line, **fields})

    def handler(self) -> logging.Handler:
        """For `logging`: what libraries and other parts say, as lines of the same kind."""
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

    def emit(self, record: logging.LogRecord) -> None:
        line: dict[str, Any] = {
            "time": _now(record.created),
            "level": record.levelname.lower(),
            "event": "log",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and (error := record.exc_info[1]):
            # The words of an exception may be a prompt's; where it was raised never is.
            line["error"] = _kind(error)
            line["at"] = [
                f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)
            ]
            if self._prompts and record.name not in _OF_HEADERS:
                line["error_message"] = str(error)
        self._background.offer(line)


def _kind(error: BaseException) -> str:
    name = type(error).__name__
    return f"{name} {error.status}" if isinstance(error, EngineHttpError) else name


def _now(at: float | None = None) -> str:
    now = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
