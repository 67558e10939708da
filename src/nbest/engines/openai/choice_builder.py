"""One choice of a streamed reply."""

from __future__ import annotations

from collections.abc import Callable, Collection

from nbest.engines.openai.reasoning_fields import REASONING_FIELDS, reasoning_field, reasoning_text
from nbest.engines.openai.reply_logprobs import joined_logprobs
from nbest.engines.openai.server_reply import (
    ChoiceDelta,
    MessageDelta,
    ServerChoice,
    ServerLogprobs,
    ServerMessage,
    plain_text,
)
from nbest.engines.openai.tool_calls import (
    CallDelta,
    FunctionDelta,
    ToolCallEmitter,
    joined_calls,
    joined_function,
)
from nbest.engines.surrogates import SurrogateJoiner
from nbest.types import Delta, Json, ReasoningDelta


class ChoiceBuilder:
    """Collects the deltas of one choice; `build` gives it as in a reply in one piece."""

    def __init__(self, index: int, *, used_ids: Collection[str] = ()) -> None:
        self._index = index
        self.finish_reason: str | None = None
        """None until the text is whole."""
        self._stop_reason: Json = None
        self._matched_stop: Json = None
        self._text = _Text()
        self._reasoning = _Text()
        self._reasoning_field = REASONING_FIELDS[0]
        self._refusals: list[str] = []
        self._calls: list[CallDelta] = []
        self._functions: list[FunctionDelta] = []
        self._logprobs: list[ServerLogprobs] = []
        self._has_reasoning = False
        """Of any shape: text that is missing beside it is not an empty text."""
        self._has_deltas = False
        self._emitter = ToolCallEmitter(used_ids)

    def add(self, delta: ChoiceDelta, emit: Callable[[Delta], object] | None = None) -> None:
        """Takes what one chunk says, and emits what can be emitted of it, in the order of an answer."""
        self.finish_reason = delta.finish_reason or self.finish_reason
        if self._stop_reason is None:
            self._stop_reason = delta.stop_reason
        if self._matched_stop is None:
            self._matched_stop = delta.matched_stop
        if delta.logprobs:
            self._logprobs.append(delta.logprobs)

        message = self._message(delta)
        if message is None:
            self._add_text(delta.text, emit)
            return
        if message.reasoning_content or message.reasoning:
            self._add_reasoning(message, emit)
        self._add_text(plain_text(message.content), emit)
        if message.tool_calls or message.function_call:
            self._add_calls(message, emit)
        if message.refusal:
            self._refusals.append(message.refusal)

    def _add_text(self, delta: str | None, emit: Callable[[Delta], object] | None) -> None:
        text = self._text.add(delta or "")
        if text and emit:
            emit(text)

    def _add_reasoning(self, message: MessageDelta, emit: Callable[[Delta], object] | None) -> None:
        self._has_reasoning = True
        field = reasoning_field(message)
        if field is None:
            return
        self._reasoning_field = field
        text = self._reasoning.add(reasoning_text(message) or "")
        if text and emit:
            emit(ReasoningDelta(text=text))

    def _add_calls(self, message: MessageDelta, emit: Callable[[Delta], object] | None) -> None:
        if message.function_call:
            self._functions.append(message.function_call)
        for call in message.tool_calls or ():
            self._calls.append(call)
            emitted = self._emitter.emit(call)
            if emitted and emit:
                emit(emitted)

    def build(self, usage: Json) -> ServerChoice:
        """The choice, with what it cost by itself where that is known."""
        text = self._text.whole()
        reasoning = self._reasoning.whole()
        refusal = "".join(self._refusals)
        has_more = self._calls or self._functions or refusal or self._has_reasoning
        is_empty_text = not has_more and self.finish_reason is not None
        message = ServerMessage(refusal=refusal or None, tool_calls=joined_calls(self._calls))
        if text or is_empty_text:
            message.content = text
        if self._functions:
            message.function_call = joined_function(self._functions)
        setattr(message, self._reasoning_field, reasoning or None)
        return ServerChoice(
            index=self._index,
            message=message,
            finish_reason=self.finish_reason,
            logprobs=joined_logprobs(self._logprobs),
            stop_reason=self._stop_reason,
            matched_stop=self._matched_stop,
            usage=usage,
        )

    def _message(self, delta: ChoiceDelta) -> MessageDelta | None:
        """`delta`; or `message`, from servers that send nothing in deltas: a part of the message, or all so far."""
        if not self._has_deltas and delta.delta is not None:
            self._has_deltas = _has_content(delta.delta)
        if delta.message is None or self._has_deltas:
            return delta.delta
        so_far = self._text.whole()
        text = plain_text(delta.message.content) or ""
        if so_far and text.startswith(so_far):
            delta.message.content = text.removeprefix(so_far)
        return delta.message


def _has_content(delta: MessageDelta) -> bool:
    return bool(delta.content or delta.refusal or delta.tool_calls or delta.function_call) or bool(
        delta.reasoning_content or delta.reasoning
    )


class _Text:
    """A text in deltas."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._joiner = SurrogateJoiner()

    def add(self, delta: str) -> str:
        """What is whole of the text with `delta`, and was not before."""
        text = self._joiner.feed(delta)
        self._parts.append(text)
        return text

    def whole(self) -> str:
        return "".join(self._parts) + self._joiner.rest
