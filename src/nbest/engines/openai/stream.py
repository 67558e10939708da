"""A streamed reply, put together as it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from nbest.engines.openai.response import (
    ServerChoice,
    ServerLogprobs,
    ServerMessage,
    ServerReply,
    ServerUsage,
    assembled,
    decode,
    name_of_thoughts,
    plain,
    reasoning_tokens,
    thoughts,
)
from nbest.engines.openai.sse import Events
from nbest.engines.openai.tool_calls import CallDelta, FunctionDelta, function, joined
from nbest.errors import EngineError, EngineHttpError, EngineProtocolError
from nbest.http_client import error_text
from nbest.types import Completion, Delta, Json, ReasoningDelta, SamplingParams, ToolCallDelta

_DONE = b"[DONE]"
_ERRORS = range(400, 600)
_T = TypeVar("_T")


class _Delta(msgspec.Struct):
    content: str | list[dict[str, Json]] | None = None
    refusal: str | None = None
    reasoning_content: Json = None
    reasoning: Json = None
    tool_calls: list[CallDelta] | None = None
    function_call: FunctionDelta | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: ServerLogprobs | None = None
    stop_reason: Json = None
    matched_stop: Json = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: ServerUsage | None = None
    error: Json = None


_chunk = msgspec.json.Decoder(_Chunk)


class Chunks:
    """The `n` choices of a stream of chunks, of chat or of legacy completions.

    `completions` gives what the same reply in one piece would have given; `on_delta` is told the first choice.
    """

    def __init__(self, on_delta: Callable[[Delta], object] | None = None, *, n: int = 1) -> None:
        self._on_text = on_delta
        self._n = n
        self._num_calls: int | None = 0
        """Begun so far; None once they are no longer told as they come."""
        self._events = Events()
        self._parts: dict[int, list[_Choice]] = {}
        self._latest = 0
        """The choice that was spoken of last; counts that come by themselves are its own."""
        self._usages: dict[int, ServerUsage] = {}
        self.has_ended = False
        """Whether nothing more is to come."""

    @property
    def is_finished(self) -> bool:
        """Whether every text is whole, though counts may still come."""
        num_whole = sum(any(c.finish_reason for c in parts) for parts in self._parts.values())
        return self.has_ended or num_whole == self._n

    @property
    def thoughts_name(self) -> str | None:
        """What the server calls the thoughts that came."""
        deltas = (c.delta for parts in self._parts.values() for c in parts if c.delta)
        return next((name for d in deltas if (name := name_of_thoughts(d))), None)

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

    def completions(self, params: SamplingParams) -> list[Completion]:
        """Those that came, as `wire.completions` reads them."""
        choices = [self._choice(at) for at in sorted(self._parts)] or [self._choice(0)]
        return assembled(ServerReply(choices=choices, usage=self._usage()), params)

    def _take(self, name: str, data: bytes) -> None:
        if self.has_ended or not data.strip():
            return
        if data.strip() == _DONE:
            self.has_ended = True
            return
        if name == "error":
            raise _error(data)
        chunk = decode(_chunk, data)
        if chunk.error is not None:
            raise _error(data)
        for choice in chunk.choices or ():
            if choice.index >= self._n:
                continue  # not asked for
            self._latest = choice.index
            self._parts.setdefault(choice.index, []).append(choice)
            if self._on_text and not choice.index:
                self._tell(choice, self._on_text)
        if chunk.usage:
            self._usages[self._latest] = chunk.usage

    def _tell(self, choice: _Choice, on_delta: Callable[[Delta], object]) -> None:
        if thought := choice.delta and thoughts(choice.delta):
            on_delta(ReasoningDelta(text=thought))
        if piece := _text(choice):
            on_delta(piece)
        for call in (choice.delta and choice.delta.tool_calls) or ():
            self._tell_call(call, on_delta)

    def _tell_call(self, delta: CallDelta, on_delta: Callable[[Delta], object]) -> None:
        """Tells a piece; nothing more from the first one on that does not say by itself where it belongs."""
        at, num, said = delta.index, self._num_calls, delta.function or FunctionDelta()
        begins = at == num and bool(delta.id and said.name)
        goes_on = at is not None and num is not None and 0 <= at < num and not said.name
        if num is None or at is None or isinstance(said.arguments, dict) or not (begins or goes_on):
            self._num_calls = None
            return
        self._num_calls = num + begins
        id_ = delta.id if begins else None
        on_delta(ToolCallDelta(index=at, id=id_, name=said.name or "", arguments=said.arguments or ""))

    def _usage(self) -> ServerUsage | None:
        """Of the call: the last count of a server that counts all at once, else the sum over its choices."""
        if not self._usages:
            return None
        first = self._usages[min(self._usages)]
        total = sum(u.completion_tokens or 0 for u in self._usages.values())
        details = {"reasoning_tokens": sum(reasoning_tokens(u) for u in self._usages.values())}
        return msgspec.structs.replace(first, completion_tokens=total, completion_tokens_details=details)

    def _choice(self, at: int) -> ServerChoice:
        parts = self._parts.get(at, [])
        deltas = [c.delta for c in parts if c.delta]
        text = "".join(_text(c) or "" for c in parts)
        calls = joined([call for d in deltas for call in d.tool_calls or ()])
        legacy = [d.function_call for d in deltas if d.function_call]
        refusal = "".join(d.refusal or "" for d in deltas)
        finish = next((c.finish_reason for c in reversed(parts) if c.finish_reason), None)
        thought = "".join(thoughts(d) or "" for d in deltas)
        is_elsewhere = calls or legacy or refusal or any(d.reasoning_content or d.reasoning for d in deltas)
        return ServerChoice(
            index=at,
            usage=self._usages.get(at) if len(self._usages) == len(self._parts) else None,
            message=ServerMessage(
                content=text or (None if is_elsewhere or finish is None else ""),
                refusal=refusal or None,
                reasoning_content=thought or None,
                tool_calls=calls,
                function_call=function(legacy) if legacy else None,
            ),
            finish_reason=finish,
            logprobs=_logprobs([c.logprobs for c in parts if c.logprobs]),
            stop_reason=next((c.stop_reason for c in parts if c.stop_reason is not None), None),
            matched_stop=next((c.matched_stop for c in parts if c.matched_stop is not None), None),
        )


def _text(choice: _Choice) -> str | None:
    return choice.text if choice.delta is None else plain(choice.delta.content)


def _logprobs(parts: Sequence[ServerLogprobs]) -> ServerLogprobs | None:
    if not parts:
        return None
    return ServerLogprobs(
        content=_joined([p.content for p in parts]),
        tokens=_joined([p.tokens for p in parts]),
        token_logprobs=_joined([p.token_logprobs for p in parts]),
        top_logprobs=_joined([p.top_logprobs for p in parts]),
    )


def _joined(lists: Sequence[list[_T] | None]) -> list[_T] | None:
    there = [x for x in lists if x is not None]
    return [x for part in there for x in part] if there else None


def _error(data: bytes) -> EngineError:
    """Of an error object: with a status of HTTP, as if the server had answered with it."""
    said = f"the server ended its reply with an error: {error_text(data)}"
    try:
        parsed: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        parsed = None
    match parsed:
        case {"error": {"code": int(status)}} | {"code": int(status)} if status in _ERRORS:
            return EngineHttpError(said, status=status)
        case _:
            return EngineProtocolError(said)
