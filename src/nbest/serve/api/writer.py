"""Server-sent events: what every API can write of an answer in the making, and what the APIs share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from nbest.serve.api.gateway_request import Progress
from nbest.serve.api.reply import Reply, error_reply, usage_shape
from nbest.types import Json, ToolCallDelta

OTHER_BEGINNING = (
    "the chosen answer does not begin with the text or the calls that this stream has sent already:"
    " send the request again"
)
_DONE = b"data: [DONE]\n\n"


class Writer(Protocol):
    """The stream of one reply. Every method returns the bytes to send next, which may be none."""

    def start(self) -> bytes:
        """What comes before everything else."""
        ...

    def text(self, delta: str) -> bytes:
        """The next part of the (first) answer."""
        ...

    def reasoning(self, delta: str) -> bytes:
        """The next part of the model's reasoning before its (first) answer."""
        ...

    def tool_call(self, delta: ToolCallDelta) -> bytes:
        """The next part of a tool call of the (first) answer; none where the API sends calls at the end."""
        ...

    def event(self, nbest: Mapping[str, Json]) -> bytes:
        """What has happened, for clients that asked for progress as events."""
        ...

    def show_progress(self, text: str) -> bytes:
        """What has happened, for clients that asked for progress as reasoning."""
        ...

    def keep_alive(self, comment: str = "") -> bytes:
        """A comment, which clients skip and proxies take as a sign of life."""
        ...

    def finish(self, reply: Reply, *, emitted: str = "") -> bytes:
        """What of the reply was not sent yet, and the stream's end.

        `emitted` is the text of the first answer that was sent. An error where the reply does not begin
        with it, or with the tool calls that were sent.
        """
        ...

    def error(self, message: str, kind: str = "server_error", code: str | None = None) -> bytes:
        """An error, and the stream's end."""
        ...


class MakeWriter(Protocol):
    """Makes the writer of one stream."""

    def __call__(
        self,
        *,
        id: str,  # noqa: A002 - OpenAI's word
        model: str,
        created: int,
        include_usage: bool = False,
        progress: Progress = "comments",
        echo: Mapping[str, Json] | None = None,
    ) -> Writer: ...


def sse(data: Json, event: str | None = None) -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + msgspec.json.encode(data) + b"\n\n"


def unsent(text: str, emitted: str) -> str | None:
    """What of `text` was not sent yet; None where it does not begin with `emitted`, space at its end aside."""
    if text.startswith(emitted):
        return text[len(emitted) :]
    return "" if emitted.rstrip() == text.rstrip() else None


class ReplyStream:
    """What the streams of all APIs share: the request's fields, and comments."""

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

    def keep_alive(self, comment: str = "") -> bytes:
        shown = " ".join(comment.split()) if self._progress == "comments" else ""
        return f": {shown}\n\n".encode()

    def tool_call(self, delta: ToolCallDelta) -> bytes:
        """Nothing: calls are sent whole, at the end."""
        return b""


class ChunkStream(ReplyStream):
    """What the streams of both completions APIs share: chunks, usage and `[DONE]`."""

    _object: str

    def event(self, nbest: Mapping[str, Json]) -> bytes:
        """A chunk without choices."""
        return self._chunk([], nbest=nbest) if self._progress == "events" else b""

    def error(self, message: str, kind: str = "server_error", code: str | None = None) -> bytes:
        return sse(error_reply(message, kind=kind, code=code)) + _DONE

    def _end(self, reply: Reply) -> bytes:
        usage = self._chunk([], usage=usage_shape(reply.usage)) if self._include_usage else b""
        return usage + _DONE

    def _last_of(self, choice: Mapping[str, Json], reply: Reply) -> bytes:
        """The chunk with a choice's finish reason; `nbest` goes with that of the last choice."""
        is_last = choice["index"] == len(reply.choices) - 1
        nbest = {"nbest": reply.nbest} if is_last else {}
        return self._chunk([choice], **nbest)

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
