"""An answer as a stream: its text as it is drawn where that is known to be the answer, else progress until it is chosen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from aiohttp import web

from nbest.offload import Turns
from nbest.serve.api.gateway_request import Progress
from nbest.serve.api.reply import Reply
from nbest.serve.api.writer import Writer
from nbest.serve.api_errors import ApiError
from nbest.serve.observer import CandidateEvent, EventKind, StreamEvent
from nbest.types import Json, Outcome, ReasoningDelta, ToolCallDelta

QUIET_S = 2.0
"""How long a stream waits for its first event, so that what fails at once fails with a status of HTTP."""
KEEP_ALIVE_S = 5.0
"""Proxies close silent connections, mostly after 30 to 60 s."""
STALLED_S = 60.0
"""Within which a client must take what is sent: one that reads no more would keep its place for ever."""
_MAX_WRITE = 1 << 14
"""Bytes sent at once, each part within `STALLED_S`."""
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
_Event = tuple[EventKind, StreamEvent] | None
"""None: there are no more."""


class Stream:
    """One client's stream. Only the task that calls `run` and `end` writes to the response."""

    def __init__(
        self, http_request: web.Request, response: web.StreamResponse, writer: Writer, progress: Progress
    ) -> None:
        self._http_request = http_request
        self._response = response
        self._writer = writer
        self._progress = progress
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        self._emitted: list[str] = []

    def put(self, kind: EventKind, event: StreamEvent) -> None:
        """An `OnStreamEvent`: the event is sent as soon as those before it are."""
        self._events.put_nowait((kind, event))

    async def run(
        self, work: Coroutine[Any, Any, Outcome], reply_of: Callable[[Outcome], Awaitable[Reply]]
    ) -> Outcome:
        """Sends everything from the first byte to the reply; `work` makes the outcome and puts events here.

        Raises `ApiError`, after the client got it in the stream where one was begun (`response.prepared`),
        and `ConnectionError` where the client is gone or does not read.
        """
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self._events.put_nowait(None))
        try:
            first = await self._first_events()
            if first[-1:] == [None]:
                await task  # where it failed, the error gets a status of HTTP
            await self._response.prepare(self._http_request)
            await self._send(self._writer.start())
            await self._send_events(first)
            outcome = await task
            reply = await reply_of(outcome)
            await self._send(self._writer.finish(reply, emitted="".join(self._emitted)))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as e:
            if self._response.prepared:
                await self._send(self._error(e))
            raise
        finally:
            task.cancel()
            with contextlib.suppress(BaseException):
                await task
        return outcome

    async def end(self) -> None:
        """Sends the last byte. Raises `ConnectionError`."""
        await self._in_time(self._response.write_eof())

    async def _first_events(self) -> list[_Event]:
        """Events until one that is no failure, until the end, or for `QUIET_S`."""
        events: list[_Event] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                event = await self._events.get()
                events.append(event)
                while event is not None and event[0] == "failure":
                    event = await self._events.get()
                    events.append(event)
        return events

    async def _send_events(self, first: Iterable[_Event]) -> None:
        """Sends the events that are there, then those that come until the end."""
        turns = Turns()
        for event in first:
            if event is None:
                return
            await self._send(self._bytes_of(event[1]))
            await turns.give()

        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    event = await self._events.get()
            except TimeoutError:
                await self._send(self._writer.keep_alive())
                continue
            if event is None:
                return
            await self._send(self._bytes_of(event[1]))
            await turns.give()

    def _bytes_of(self, event: StreamEvent) -> bytes:
        match event:
            case str():
                self._emitted.append(event)
                return self._writer.text(event)
            case ToolCallDelta():
                return self._writer.tool_call(event)
            case ReasoningDelta():
                return self._writer.reasoning(event.text)
            case CandidateEvent():
                return self._progress_bytes(event.shown())
            case _:
                return self._progress_bytes(event)

    def _progress_bytes(self, event: Mapping[str, Json]) -> bytes:
        match self._progress:
            case "events":
                return self._writer.event(event)
            case "reasoning" if event["event"] == "candidate":
                return self._writer.show_progress(f"[{event['drawn']}] {event['candidate']['text']}\n\n")
            case "comments":
                return self._writer.keep_alive(f"{event['event']} {event['drawn']}")
            case _:
                return b""

    def _error(self, error: Exception) -> bytes:
        if isinstance(error, ApiError):
            return self._writer.error(str(error), error.kind, error.code)
        return self._writer.error("the gateway failed: its log says why", "server_error")

    async def _send(self, data: bytes) -> None:
        for start in range(0, len(data), _MAX_WRITE):
            await self._in_time(self._response.write(data[start : start + _MAX_WRITE]))

    async def _in_time(self, writing: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(STALLED_S):
                await writing
        except TimeoutError:
            if self._http_request.transport:
                self._http_request.transport.abort()  # closing it would wait for the client
            raise ConnectionResetError(f"the client read nothing for {STALLED_S:g} s") from None
