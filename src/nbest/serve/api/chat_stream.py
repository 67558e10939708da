"""What a gateway sends while an answer is made: server-sent events of both completions APIs.

Every method gives the bytes to send, which may be none. A writer is used once, for one stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from nbest.serve.api.gateway_request import Progress
from nbest.serve.api.reply import (
    Choice,
    Reply,
    chat_logprobs,
    error_reply,
    text_finish,
    text_logprobs,
    tool_calls,
    usage_shape,
)
from nbest.types import Json, ToolCall, ToolCallDelta, replace

_DONE = b"data: [DONE]\n\n"
CHANGED = "what was written is not how the chosen answer begins: ask again"


def sse(data: Json, event: str | None = None) -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + msgspec.json.encode(data) + b"\n\n"


def rest(text: str, already: str) -> str | None:
    """What of `text` was not yet sent; None where something else was, be it not space at its end."""
    if text.startswith(already):
        return text[len(already) :]
    return "" if already.rstrip() == text.rstrip() else None


class Writer:
    """What the streams of all APIs have in common."""

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - OpenAI's word
        model: str,
        created: int,
        include_usage: bool = False,
        progress: Progress = "comments",
        echo: Mapping[str, Json] | None = None,
    ) -> None:
        self._id = id
        self._model = model
        self._created = created
        self._include_usage = include_usage
        self._progress = progress
        self._echo = echo or {}

    def keep_alive(self, text: str = "") -> bytes:
        """A comment, which clients skip and proxies take as a sign of life."""
        said = " ".join(text.split()) if self._progress == "comments" else ""
        return f": {said}\n\n".encode()

    def call(self, piece: ToolCallDelta) -> bytes:
        """A piece of a call of the answer, where the API has it as it comes; else it is told at the end."""
        return b""


class _ChunkWriter(Writer):
    """What the streams of both completions APIs have in common."""

    _object: str

    def event(self, nbest: Mapping[str, Json]) -> bytes:
        """A chunk without choices that says how far things are."""
        return self._chunk([], nbest=nbest) if self._progress == "events" else b""

    def error(self, message: str, kind: str = "server_error", code: str | None = None) -> bytes:
        """An error inside the stream, and the stream's end."""
        return sse(error_reply(message, kind=kind, code=code)) + _DONE

    def _end(self, reply: Reply) -> bytes:
        usage = self._chunk([], usage=usage_shape(reply.usage)) if self._include_usage else b""
        return usage + _DONE

    def _chunk(self, choices: list[Json], **more: Json) -> bytes:
        chunk: dict[str, Json] = {
            "id": self._id,
            "object": self._object,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
        if self._include_usage:
            chunk["usage"] = None
        return sse({**chunk, **more})


class ChatWriter(_ChunkWriter):
    """A stream of chat."""

    _object = "chat.completion.chunk"

    _called: tuple[ToolCall, ...] = ()
    """As much of the calls as was sent."""
    _thoughts = ""
    """Those that were sent as they came."""

    def start(self) -> bytes:
        """The chunk that says who speaks."""
        return self._delta(0, {"role": "assistant", "content": ""})

    def show_progress(self, text: str) -> bytes:
        """What clients show as thinking: how far things are, where they asked for it so."""
        return self._delta(0, {"reasoning_content": text}) if self._progress == "reasoning" else b""

    def thought(self, text: str) -> bytes:
        """A piece of what the model thinks before its (first) answer."""
        self._thoughts += text
        return self._delta(0, {"reasoning_content": text})

    def text(self, delta: str) -> bytes:
        """A piece of the (first) answer."""
        return self._delta(0, {"content": delta}) if delta else b""

    def call(self, piece: ToolCallDelta) -> bytes:
        said: dict[str, Json] = {"arguments": piece.arguments}
        if piece.id is None:
            at, begun = piece.index, self._called[piece.index]
            call = replace(begun, name=begun.name + piece.name, arguments=begun.arguments + piece.arguments)
            self._called = (*self._called[:at], call, *self._called[at + 1 :])
            named = {"name": piece.name} if piece.name else {}
            return self._delta(0, {"tool_calls": [{"index": piece.index, "function": {**named, **said}}]})
        self._called += (ToolCall(id=piece.id, name=piece.name, arguments=piece.arguments),)
        begins = {"index": piece.index, "id": piece.id, "type": "function"}
        return self._delta(0, {"tool_calls": [{**begins, "function": {"name": piece.name, **said}}]})

    def finish(self, reply: Reply, *, already: str = "") -> bytes:
        """What was not yet sent; `nbest` is on the last chunk with a `finish_reason`.

        `already`: the pieces of the first answer together. An error where they, or pieces of calls, are not
        its beginning.
        """
        said, last = b"", len(reply.choices) - 1
        for i, c in enumerate(reply.choices):
            text = rest(c.text, "" if i else already)
            # A cut call is none of the answer, although it was begun.
            may_lack_calls = c.finish in {"length", "content_filter"}
            if text is None or not (i or may_lack_calls or self._begin(c.tool_calls)):
                return self.error(CHANGED)
            found = chat_logprobs(c.logprobs) if c.logprobs else None
            choice = {"index": i, "delta": {}, "logprobs": found, "finish_reason": c.finish}
            said += self._choice(i, c, text) + self._chunk(
                [choice], **({"nbest": reply.nbest} if i == last else {})
            )
        return said + self._end(reply)

    def _choice(self, index: int, choice: Choice, text: str) -> bytes:
        said, first = b"", {"role": "assistant"} if index else {}
        thought = choice.reasoning or ""
        is_heard = not index and self._thoughts.endswith(
            thought
        )  # those of a draw that failed may come before
        if thought and not is_heard:
            apart = "\n\n" if self._thoughts and not index else ""
            said += self._delta(index, {**first, "reasoning_content": apart + thought})
            first = {}
        if text or first:
            said += self._delta(index, {**first, "content": text})
        if choice.refusal:
            said += self._delta(index, {"refusal": choice.refusal})
        begun = () if index else self._called
        for i, (call, sent) in enumerate(zip(choice.tool_calls, begun, strict=False)):
            if left := call.arguments.removeprefix(sent.arguments):
                said += self._delta(index, {"tool_calls": [{"index": i, "function": {"arguments": left}}]})
        for i, call in enumerate(tool_calls(choice.tool_calls[len(begun) :]), len(begun)):
            said += self._delta(index, {"tool_calls": [{"index": i, **call}]})
        return said

    def _begin(self, calls: Sequence[ToolCall]) -> bool:
        """Whether what was sent of calls is how `calls` begin."""
        return len(self._called) <= len(calls) and all(
            (sent.id, sent.name) == (call.id, call.name)
            and (call.arguments.startswith(sent.arguments) or not sent.arguments.strip())
            for sent, call in zip(self._called, calls, strict=False)
        )

    def _delta(self, index: int, delta: Mapping[str, Json]) -> bytes:
        return self._chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])


class CompletionWriter(_ChunkWriter):
    """A stream of legacy completions, which have no word for who speaks, for thinking or for tools."""

    _object = "text_completion"

    def start(self) -> bytes:
        """Nothing: the first chunk has text."""
        return b""

    def show_progress(self, text: str) -> bytes:
        """Nothing."""
        return b""

    def thought(self, text: str) -> bytes:
        """Nothing."""
        return b""

    def text(self, delta: str) -> bytes:
        """A piece of the (first) answer."""
        return self._piece(0, delta) if delta else b""

    def finish(self, reply: Reply, *, already: str = "") -> bytes:
        """As in `ChatWriter`."""
        said, last = b"", len(reply.choices) - 1
        for i, c in enumerate(reply.choices):
            text = rest(c.text, "" if i else already)
            if text is None:
                return self.error(CHANGED)
            found = text_logprobs(c.logprobs) if c.logprobs else None
            choice = {"index": i, "text": text, "logprobs": found, "finish_reason": text_finish(c)}
            said += self._chunk([choice], **({"nbest": reply.nbest} if i == last else {}))
        return said + self._end(reply)

    def _piece(self, index: int, text: str) -> bytes:
        return self._chunk([{"index": index, "text": text, "logprobs": None, "finish_reason": None}])
