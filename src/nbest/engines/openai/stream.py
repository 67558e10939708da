"""A streamed reply, put together as it comes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from nbest.accounting.open_calls import OpenCall
from nbest.engines.openai.choice_builder import ChoiceBuilder
from nbest.engines.openai.server_reply import ChoiceDelta, Chunk, ServerReply, parse_chunk
from nbest.engines.openai.sse import Events
from nbest.engines.openai.usage import summed_usage, token_counts
from nbest.errors import EngineError, EngineHttpError, EngineProtocolError
from nbest.http_errors import error_text
from nbest.types import Delta, Json

_DONE = b"[DONE]"
_ERROR_STATUSES = range(400, 600)


class CompletionStream:
    """The `n` choices of a streamed reply of either completions API.

    `reply` gives what the same reply in one piece would have been; `on_delta` gets the deltas of the first
    choice as they come. `used_ids` are those of earlier tool calls. `call` is told how much there is.
    """

    def __init__(
        self,
        on_delta: Callable[[Delta], object] | None = None,
        *,
        n: int = 1,
        used_ids: Collection[str] = (),
        call: OpenCall | None = None,
    ) -> None:
        self._call = call
        self._on_delta = on_delta
        self._n = n
        self._used_ids = used_ids
        self._events = Events()
        self._choices: dict[int, ChoiceBuilder] = {}
        self._latest = 0
        """Index of the choice of the last chunk; a count that comes by itself is its own."""
        self._usages: dict[int, Json] = {}
        """The last count behind each choice: servers count all choices at once, or each at its end."""
        self.has_ended = False
        """Whether nothing more is to come."""

    @property
    def is_finished(self) -> bool:
        """Whether every text is whole, though counts may still come."""
        num_whole = sum(choice.finish_reason is not None for choice in self._choices.values())
        return self.has_ended or num_whole == self._n

    def feed(self, chunk: bytes) -> None:
        """Takes bytes, cut anywhere. Raises `EngineError` for an error in the stream."""
        for name, data in self._events.feed(chunk):
            self._take(name, data)

    def close(self) -> None:
        """Takes the end of the stream. Raises `EngineProtocolError` where the reply is not whole."""
        for name, data in self._events.close():
            self._take(name, data)
        if not self.is_finished:
            raise EngineProtocolError("the server broke off its reply in the middle of the text")

    def reply(self) -> ServerReply:
        """What came, as a reply in one piece."""
        usage_by_index: dict[int, Json] = {}
        if len(self._usages) == len(self._choices) > 1:  # of one, it is the count of the call
            usage_by_index = self._usages
        choices = [self._choices[index].build(usage_by_index.get(index)) for index in sorted(self._choices)]
        if not choices:
            choices = [ChoiceBuilder(0).build(None)]
        usages = [self._usages[index] for index in sorted(self._usages)]
        return ServerReply(choices=choices, usage=summed_usage(usages))

    def _take(self, name: str, data: bytes) -> None:
        if self.has_ended or not data.strip():
            return
        if data.strip() == _DONE:
            self.has_ended = True
            return
        if name == "error":
            raise _error(data)
        chunk = parse_chunk(data)
        if chunk.error is not None:
            raise _error(data)

        if self._call is not None:
            _count(chunk, self._call)
        for choice in chunk.choices or ():
            self._add(choice)
        if chunk.usage:
            self._usages[self._latest] = chunk.usage
            # Servers that send no [DONE] may keep the connection open: the count of a finished reply is its end.
            self.has_ended = self.is_finished and not chunk.choices

    def _add(self, delta: ChoiceDelta) -> None:
        if delta.index >= self._n:
            return  # not asked for
        self._latest = delta.index
        if delta.index not in self._choices:
            self._choices[delta.index] = ChoiceBuilder(delta.index, used_ids=self._used_ids)
        choice = self._choices[delta.index]
        if delta.index == 0:
            choice.add(delta, self._on_delta)
        else:
            choice.add(delta)


def _count(chunk: Chunk, call: OpenCall) -> None:
    """Tells `call` of the tokens so far: as the server counts them, else one for each event with content."""
    for choice in chunk.choices or ():
        message = choice.delta
        # The first event of a chat names the role, and has no token.
        is_empty = message is not None and not (message.content or message.reasoning_content)
        call.num_events += not (is_empty and call.num_events == 0)
    if chunk.timings is not None:
        call.num_drawn = chunk.timings.predicted_n
        call.num_prompt = chunk.timings.cache_n + chunk.timings.prompt_n
        call.num_cached = chunk.timings.cache_n
    elif chunk.usage and chunk.choices:
        counts = token_counts(chunk.usage)
        call.num_drawn, call.num_prompt = counts.completion, counts.prompt
        call.num_cached = counts.cached or 0


def _error(data: bytes) -> EngineError:
    """For an error object in the stream; one with an HTTP status is as if the server had answered with it."""
    message = f"the server ended its reply with an error: {error_text(data)}"
    try:
        parsed: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        parsed = None
    match parsed:
        case {"error": {"code": int(status)}} | {"code": int(status)} if status in _ERROR_STATUSES:
            return EngineHttpError(message, status=status)
        case _:
            return EngineProtocolError(message)
