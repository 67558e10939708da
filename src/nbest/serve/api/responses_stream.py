"""What POST /v1/responses streams: typed events.

Source: OpenAI's API reference, "Responses" and "Streaming events".
"""

from __future__ import annotations

from collections.abc import Mapping

from nbest.serve.api.reply import Choice, Reply
from nbest.serve.api.responses_reply import (
    content_part,
    item_id,
    message_item,
    reasoning_item,
    reasoning_part,
    response_shape,
    summary_part,
    whole_response,
)
from nbest.serve.api.writer import OTHER_BEGINNING, ReplyStream, sse, unsent
from nbest.types import Json, ToolCall

_CODES = {"server_error", "rate_limit_exceeded", "invalid_prompt"}
"""Of the codes that OpenAI knows for a failed response, those that a gateway has a use for."""


class ResponsesWriter(ReplyStream):
    """A `Writer` of responses. The stream ends with response.completed, .incomplete or .failed.

    Its items come in this order: at most one of reasoning, at most one message, then tool calls.
    """

    _num_events = 0
    _summary = ""
    """The progress that was shown, as the summary of the reasoning item."""
    _reasoning: str | None = None
    """The model's own reasoning; None before there was any."""
    _is_reasoning_open = False
    _has_message = False
    """Whether the message was begun, and the reasoning item ended."""

    def start(self) -> bytes:
        """The response without output."""
        response = self._response("in_progress")
        created = self._event("response.created", response=response)
        return created + self._event("response.in_progress", response=response)

    def event(self, nbest: Mapping[str, Json]) -> bytes:
        """An event of our own; clients skip types that they do not know."""
        return self._event("response.nbest", nbest=nbest) if self._progress == "events" else b""

    def show_progress(self, text: str) -> bytes:
        """Progress as a summary of reasoning, until the answer begins."""
        if self._has_message or self._progress != "reasoning":
            return b""

        out = self._open_reasoning()
        place = self._reasoning_place("summary_index")
        if not self._summary:
            part = summary_part("")
            out += self._event("response.reasoning_summary_part.added", **place, part=part)
        self._summary += text
        return out + self._event("response.reasoning_summary_text.delta", **place, delta=text)

    def reasoning(self, delta: str) -> bytes:
        """As `Writer.reasoning`; nothing once the answer has begun."""
        if self._has_message:
            return b""

        out = self._open_reasoning()
        place = self._reasoning_place("content_index")
        if self._reasoning is None:
            out += self._event("response.content_part.added", **place, part=reasoning_part(""))
        self._reasoning = (self._reasoning or "") + delta
        return out + self._event("response.reasoning_text.delta", **place, delta=delta)

    def text(self, delta: str) -> bytes:
        if not delta:
            return b""
        out = self._open_message()
        return out + self._event(
            "response.output_text.delta", **self._message_place(), delta=delta, logprobs=[]
        )

    def finish(self, reply: Reply, *, emitted: str = "") -> bytes:
        """As `Writer.finish`; the last event has the whole response."""
        choice = reply.choices[0]
        rest = unsent(choice.text, emitted)
        if rest is None:
            return self.error(OTHER_BEGINNING)

        out = self._settle_reasoning(choice.reasoning or "") + self.text(rest)
        if self._has_message or not choice.tool_calls:
            out += self._open_message(refuses=choice.refusal is not None) + self._close_message(choice)
        out += self._close_reasoning()

        response = whole_response(reply, self._reasoning_items(), has_message=self._has_message)
        start = len(response["output"]) - len(choice.tool_calls)
        for i, call in enumerate(choice.tool_calls, start):
            out += self._whole_call(i, call, response["output"][i])
        return out + self._event(f"response.{response['status']}", response=response)

    def error(self, message: str, kind: str = "server_error", code: str | None = None) -> bytes:
        """An error, and the response that failed because of it."""
        known = kind if kind in _CODES else "server_error"
        response = self._response("failed") | {"error": {"code": known, "message": message}}
        error = self._event("error", code=code or kind, message=message, param=None)
        return error + self._event("response.failed", response=response)

    def _open_message(self, *, refuses: bool = False) -> bytes:
        if self._has_message:
            return b""
        out = self._close_reasoning()
        self._has_message = True
        out += self._item("added", self._message_index(), message_item(self._id, None))
        part = content_part(Choice(text="", refusal="" if refuses else None))
        return out + self._event("response.content_part.added", **self._message_place(), part=part)

    def _close_message(self, choice: Choice) -> bytes:
        part, place = content_part(choice), self._message_place()
        if choice.refusal is None:
            rows = part["logprobs"]
            out = self._event("response.output_text.done", **place, text=choice.text, logprobs=rows)
        else:
            out = self._event("response.refusal.delta", **place, delta=choice.refusal)
            out += self._event("response.refusal.done", **place, refusal=choice.refusal)
        out += self._event("response.content_part.done", **place, part=part)
        return out + self._item("done", self._message_index(), message_item(self._id, choice))

    def _settle_reasoning(self, chosen: str) -> bytes:
        """Sends the chosen answer's reasoning where none was sent; else it replaces what was sent in the whole."""
        if self._reasoning is None:
            return self.reasoning(chosen) if chosen else b""
        if not self._has_message:
            self._reasoning = chosen
        return b""

    def _open_reasoning(self) -> bytes:
        if self._is_reasoning_open:
            return b""
        self._is_reasoning_open = True
        return self._item("added", 0, reasoning_item(self._id))

    def _close_reasoning(self) -> bytes:
        if not self._is_reasoning_open:
            return b""
        self._is_reasoning_open = False

        out = b""
        if self._summary:
            place, text = self._reasoning_place("summary_index"), self._summary
            out += self._event("response.reasoning_summary_text.done", **place, text=text)
            out += self._event("response.reasoning_summary_part.done", **place, part=summary_part(text))
        if self._reasoning is not None:
            place, text = self._reasoning_place("content_index"), self._reasoning
            out += self._event("response.reasoning_text.done", **place, text=text)
            out += self._event("response.content_part.done", **place, part=reasoning_part(text))
        return out + self._item("done", 0, self._reasoning_items()[0])

    def _reasoning_items(self) -> list[Json]:
        """What stands before the message: one item, or none."""
        has_any = self._summary or self._reasoning is not None
        return [reasoning_item(self._id, self._summary, self._reasoning)] if has_any else []

    def _whole_call(self, at: int, call: ToolCall, item: Mapping[str, Json]) -> bytes:
        place = {"item_id": item["id"], "output_index": at}
        out = self._item("added", at, {**item, "arguments": "", "status": "in_progress"})
        out += self._event("response.function_call_arguments.delta", **place, delta=call.arguments)
        done = {"name": call.name, "arguments": call.arguments}
        out += self._event("response.function_call_arguments.done", **place, **done)
        return out + self._item("done", at, item)

    def _message_index(self) -> int:
        return len(self._reasoning_items())

    def _reasoning_place(self, part: str) -> dict[str, Json]:
        return {"item_id": item_id("rs", self._id), "output_index": 0, part: 0}

    def _message_place(self) -> dict[str, Json]:
        return {
            "item_id": item_id("msg", self._id),
            "output_index": self._message_index(),
            "content_index": 0,
        }

    def _item(self, what: str, at: int, item: Mapping[str, Json]) -> bytes:
        return self._event(f"response.output_item.{what}", output_index=at, item=item)

    def _response(self, status: str) -> dict[str, Json]:
        reply = Reply(id=self._id, model=self._model, created=self._created, choices=(), echo=self._echo)
        return response_shape(reply, status)

    def _event(self, kind: str, **fields: Json) -> bytes:
        data = {"type": kind, "sequence_number": self._num_events, **fields}
        self._num_events += 1
        return sse(data, kind)
