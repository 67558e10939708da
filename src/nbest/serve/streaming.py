"""An answer as a stream: the text while it is written where that is known to be the answer, else signs of
progress until it is chosen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from aiohttp import web

from nbest.serve.api.reply import Reply
from nbest.serve.api_errors import ApiError
from nbest.serve.observer import StreamEvent
from nbest.types import Outcome, ReasoningDelta, ToolCallDelta

QUIET_S = 2.0
"""How long a stream waits for something to say, so that what fails at once fails with a status of HTTP."""
KEEP_ALIVE_S = 5.0
"""Proxies give up on silence, mostly after 30 to 60 s."""
STALLED_S = 60.0
"""Within which a client takes a piece: one that reads no more would keep its place for ever."""
_PIECE = 1 << 14
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
_Event = tuple[str, StreamEvent]
_DONE: _Event = ("done", "")


class Stream:
    """One client's stream. The response must be sent from one task alone: this one."""

    def __init__(
        self, request: web.Request, response: web.StreamResponse, writer: Any, progress: str
    ) -> None:
        self._request = request
        self._response = response
        self._writer = writer
        self._progress = progress
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        self._said: list[str] = []

    def tell(self, kind: str, what: StreamEvent) -> None:
        """As `observer.Tell`."""
        self._events.put_nowait((kind, what))

    async def run(self, work: Coroutine[Any, Any, Outcome], reply_of: Callable[[Outcome], Reply]) -> Outcome:
        """Everything from the first byte to the last but for the end, which is `end`'s; `work` tells it what happens.

        Raises `ApiError`, after it was told in the stream where one was begun (`response.prepared`),
        and `ConnectionError` where the client is gone, or takes nothing any more.
        """
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self._events.put_nowait(_DONE))
        try:
            first = await self._first()
            if first[-1:] == [_DONE]:
                await task
            await self._response.prepare(self._request)
            await self._send(self._writer.start())
            await self._follow(first)
            outcome = await task
            await self._send(self._writer.finish(reply_of(outcome), emitted="".join(self._said)))
        except ApiError as e:
            if self._response.prepared:
                await self._send(self._writer.error(str(e), e.kind, e.code))
            raise
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            if self._response.prepared:
                await self._send(self._writer.error("the gateway failed: its log says why", "server_error"))
            raise
        finally:
            task.cancel()
            with contextlib.suppress(BaseException):
                await task
        return outcome

    async def end(self) -> None:
        """The last byte. Raises `ConnectionError`."""
        await self._in_time(self._response.write_eof())

    async def _first(self) -> list[_Event]:
        """What happens until something is drawn, or all is over, or nothing was for a while."""
        events: list[_Event] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                while not events or events[-1][0] == "failure":
                    events.append(await self._events.get())
        return events

    async def _follow(self, events: Iterable[_Event]) -> None:
        """Sends `events`, and what happens until the outcome is there."""
        for event in events:
            if event == _DONE:
                return
            await self._send(self._shown(*event))
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    kind, what = await self._events.get()
            except TimeoutError:
                await self._send(self._writer.keep_alive())
                continue
            if (kind, what) == _DONE:
                return
            await self._send(self._shown(kind, what))

    def _shown(self, kind: str, what: StreamEvent) -> bytes:
        if isinstance(what, str):
            self._said.append(what)
            return self._writer.text(what)
        if isinstance(what, ToolCallDelta):
            return self._writer.tool_call(what)
        if isinstance(what, ReasoningDelta):
            return self._writer.reasoning(what.text)
        match self._progress:
            case "events":
                return self._writer.event(what)
            case "reasoning" if what["event"] == "candidate":
                return self._writer.show_progress(f"[{what['drawn']}] {what['candidate']['text']}\n\n")
            case "comments":
                return self._writer.keep_alive(f"{what['event']} {what['drawn']}")
            case _:
                return b""

    async def _send(self, data: bytes) -> None:
        for at in range(0, len(data), _PIECE):
            await self._in_time(self._response.write(data[at : at + _PIECE]))

    async def _in_time(self, writing: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(STALLED_S):
                await writing
        except TimeoutError:
            if self._request.transport:
                self._request.transport.abort()  # closing it would wait for the client
            raise ConnectionResetError(f"the client took nothing for {STALLED_S:g} s") from None
