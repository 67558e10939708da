"""What POST /v1/chat/completions streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbest.serve.api.chat_reply import chat_logprobs, tool_calls
from nbest.serve.api.reply import Choice, Reply
from nbest.serve.api.writer import OTHER_BEGINNING, ChunkStream, unsent
from nbest.types import Json, ToolCall, ToolCallDelta, replace


class ChatWriter(ChunkStream):
    """A `Writer` of chat completions."""

    _object = "chat.completion.chunk"

    _sent_calls: tuple[ToolCall, ...] = ()
    """The calls of the first answer, as far as they were sent."""
    _sent_reasoning = ""
    """The reasoning that was sent as it was drawn."""

    def start(self) -> bytes:
        """The chunk with the role."""
        return self._delta(0, {"role": "assistant", "content": ""})

    def show_progress(self, text: str) -> bytes:
        """Progress as `reasoning_content`, which clients show as the model's reasoning."""
        return self._delta(0, {"reasoning_content": text}) if self._progress == "reasoning" else b""

    def reasoning(self, delta: str) -> bytes:
        self._sent_reasoning += delta
        return self._delta(0, {"reasoning_content": delta})

    def text(self, delta: str) -> bytes:
        return self._delta(0, {"content": delta}) if delta else b""

    def tool_call(self, delta: ToolCallDelta) -> bytes:
        at = delta.index
        function: dict[str, Json] = {"arguments": delta.arguments}
        if delta.id is not None:
            self._sent_calls += (ToolCall(id=delta.id, name=delta.name, arguments=delta.arguments),)
            function = {"name": delta.name, **function}
            head = {"index": at, "id": delta.id, "type": "function"}
            return self._delta(0, {"tool_calls": [{**head, "function": function}]})

        begun = self._sent_calls[at]
        call = replace(begun, name=begun.name + delta.name, arguments=begun.arguments + delta.arguments)
        self._sent_calls = (*self._sent_calls[:at], call, *self._sent_calls[at + 1 :])
        if delta.name:
            function = {"name": delta.name, **function}
        return self._delta(0, {"tool_calls": [{"index": at, "function": function}]})

    def finish(self, reply: Reply, *, emitted: str = "") -> bytes:
        """As `Writer.finish`; each choice ends with a chunk that has its `finish_reason`."""
        if not self._continues(reply.choices[0], emitted):
            return self.error(OTHER_BEGINNING)

        out = b""
        for i, choice in enumerate(reply.choices):
            last = {
                "index": i,
                "delta": {},
                "logprobs": chat_logprobs(choice),
                "finish_reason": choice.finish,
            }
            content = self._other(i, choice) if i else self._first(choice, emitted)
            out += content + self._last_of(last, reply)
        return out + self._end(reply)

    def _continues(self, choice: Choice, emitted: str) -> bool:
        """Whether an answer begins with what was sent. A call that was cut is not in the answer, though it was sent."""
        may_lack_calls = choice.finish in {"length", "content_filter"}
        calls_fit = may_lack_calls or self._begin_with_sent(choice.tool_calls)
        return calls_fit and unsent(choice.text, emitted) is not None

    def _begin_with_sent(self, calls: Sequence[ToolCall]) -> bool:
        if len(self._sent_calls) > len(calls):
            return False
        pairs = zip(self._sent_calls, calls, strict=False)
        return all(_is_beginning(sent, call) for sent, call in pairs)

    def _first(self, choice: Choice, emitted: str) -> bytes:
        """What of the first answer was not sent yet."""
        out = b""
        reasoning = choice.reasoning or ""
        # Reasoning of a draw that failed may have been sent before.
        if reasoning and not self._sent_reasoning.endswith(reasoning):
            separator = "\n\n" if self._sent_reasoning else ""
            out += self._delta(0, {"reasoning_content": separator + reasoning})

        rest = unsent(choice.text, emitted)
        if rest:
            out += self._delta(0, {"content": rest})
        if choice.refusal:
            out += self._delta(0, {"refusal": choice.refusal})

        for i, (call, sent) in enumerate(zip(choice.tool_calls, self._sent_calls, strict=False)):
            arguments = call.arguments.removeprefix(sent.arguments)
            if arguments:
                delta = {"index": i, "function": {"arguments": arguments}}
                out += self._delta(0, {"tool_calls": [delta]})
        return out + self._whole_calls(0, choice, len(self._sent_calls))

    def _other(self, index: int, choice: Choice) -> bytes:
        """A further answer, whose first chunk has its role."""
        out = b""
        role: dict[str, Json] = {"role": "assistant"}
        if choice.reasoning:
            out += self._delta(index, {**role, "reasoning_content": choice.reasoning})
            role = {}
        if choice.text or role:
            out += self._delta(index, {**role, "content": choice.text})
        if choice.refusal:
            out += self._delta(index, {"refusal": choice.refusal})
        return out + self._whole_calls(index, choice, 0)

    def _whole_calls(self, index: int, choice: Choice, start: int) -> bytes:
        calls = enumerate(tool_calls(choice.tool_calls[start:]), start)
        return b"".join(self._delta(index, {"tool_calls": [{"index": i, **call}]}) for i, call in calls)

    def _delta(self, index: int, delta: Mapping[str, Json]) -> bytes:
        return self._chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])


def _is_beginning(sent: ToolCall, call: ToolCall) -> bool:
    """Whether `sent` is the same call, as far as its arguments go; arguments of space alone are none."""
    is_same = (sent.id, sent.name) == (call.id, call.name)
    return is_same and (call.arguments.startswith(sent.arguments) or not sent.arguments.strip())
