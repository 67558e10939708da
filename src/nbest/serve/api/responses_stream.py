"""What a gateway sends to clients of the Responses API, in one piece and as typed events.

Source: OpenAI's API reference, "Responses" and "Streaming events".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbest.serve.api.chat_stream import CHANGED, Writer, rest, sse
from nbest.serve.api.reply import Choice, Reply, token_rows
from nbest.types import Json, ToolCall

_DEFAULTS: Mapping[str, Json] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}
_TOOL: Mapping[str, Json] = {"description": None, "parameters": None, "strict": None}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_CODES = {"server_error", "rate_limit_exceeded", "invalid_prompt"}
"""Of the codes that a failed response may have, those that a gateway has a use for."""


def responses_reply(reply: Reply) -> dict[str, Json]:
    """A response object, made from the first choice."""
    thought = reply.choices[0].reasoning
    before = [_reasoning(reply.id, "", thought)] if thought else []
    return _final(reply, before, has_text=False)


class ResponsesWriter(Writer):
    """A stream of typed events. It ends with response.completed, .incomplete or .failed."""

    _sequence = 0
    _summary = ""
    """How far things were."""
    _thoughts: str | None = None
    """The model's own; None before any was said."""
    _is_thinking = False
    _is_writing = False

    def start(self) -> bytes:
        """The response, still empty."""
        response = self._object("in_progress")
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def event(self, nbest: Mapping[str, Json]) -> bytes:
        """An event of our own that says how far things are; clients skip types that they do not know."""
        return self._event("response.nbest", nbest=nbest) if self._progress == "events" else b""

    def show_progress(self, text: str) -> bytes:
        """What clients show as a summary of thoughts, before the answer begins: as in `ChatWriter`."""
        if self._is_writing or self._progress != "reasoning":
            return b""
        said = self._begin_thinking()
        where = self._thinking() | {"summary_index": 0}
        if not self._summary:
            part = {"type": "summary_text", "text": ""}
            said += self._event("response.reasoning_summary_part.added", **where, part=part)
        self._summary += text
        return said + self._event("response.reasoning_summary_text.delta", **where, delta=text)

    def thought(self, text: str) -> bytes:
        """A piece of what the model thinks, before the answer begins."""
        if self._is_writing:
            return b""
        said, where = self._begin_thinking(), self._thinking() | {"content_index": 0}
        if self._thoughts is None:
            said += self._event("response.content_part.added", **where, part=_thoughts(""))
        self._thoughts = (self._thoughts or "") + text
        return said + self._event("response.reasoning_text.delta", **where, delta=text)

    def text(self, delta: str) -> bytes:
        """A piece of the answer."""
        if not delta:
            return b""
        said = self._begin()
        return said + self._event("response.output_text.delta", **self._writing(), delta=delta, logprobs=[])

    def finish(self, reply: Reply, *, already: str = "") -> bytes:
        """What was not yet sent, and the whole response; an error where `already` does not begin it."""
        choice = reply.choices[0]
        text = rest(choice.text, already)
        if text is None:
            return self.error(CHANGED)
        said = self._settle_thoughts(choice.reasoning or "") + self.text(text)
        if self._is_writing or not choice.tool_calls:
            said += self._begin(refuses=choice.refusal is not None) + self._end_text(choice)
        said += self._end_thinking()
        response = _final(reply, self._thought_of(), has_text=self._is_writing)
        start = len(response["output"]) - len(choice.tool_calls)
        for i, call in enumerate(choice.tool_calls):
            said += self._call(start + i, call, response["output"][start + i])
        return said + self._event(f"response.{response['status']}", response=response)

    def error(self, message: str, kind: str = "server_error", code: str | None = None) -> bytes:
        """An error, and the response that failed of it."""
        known = kind if kind in _CODES else "server_error"
        failed = self._object("failed") | {"error": {"code": known, "message": message}}
        said = self._event("error", code=code or kind, message=message, param=None)
        return said + self._event("response.failed", response=failed)

    def _begin(self, *, refuses: bool = False) -> bytes:
        if self._is_writing:
            return b""
        said = self._end_thinking()
        self._is_writing = True
        said += self._item("added", self._place(), _message(self._id, None))
        part = _part(Choice(text="", refusal="" if refuses else None))
        return said + self._event("response.content_part.added", **self._writing(), part=part)

    def _end_text(self, choice: Choice) -> bytes:
        part, where = _part(choice), self._writing()
        if choice.refusal is None:
            said = self._event(
                "response.output_text.done", **where, text=choice.text, logprobs=part["logprobs"]
            )
        else:
            said = self._event("response.refusal.delta", **where, delta=choice.refusal)
            said += self._event("response.refusal.done", **where, refusal=choice.refusal)
        said += self._event("response.content_part.done", **where, part=part)
        return said + self._item("done", self._place(), _message(self._id, choice))

    def _settle_thoughts(self, thoughts: str) -> bytes:
        """What the chosen answer's draw thought, where nothing was heard; the whole holds them whatever was heard."""
        if self._thoughts is None:
            return self.thought(thoughts) if thoughts else b""
        if not self._is_writing:
            self._thoughts = thoughts
        return b""

    def _begin_thinking(self) -> bytes:
        if self._is_thinking:
            return b""
        self._is_thinking = True
        return self._item("added", 0, _reasoning(self._id))

    def _end_thinking(self) -> bytes:
        if not self._is_thinking:
            return b""
        self._is_thinking = False
        where, said = self._thinking(), b""
        if text := self._summary:
            part = {"type": "summary_text", "text": text}
            said += self._event("response.reasoning_summary_text.done", **where, summary_index=0, text=text)
            said += self._event("response.reasoning_summary_part.done", **where, summary_index=0, part=part)
        if (text := self._thoughts) is not None:
            said += self._event("response.reasoning_text.done", **where, content_index=0, text=text)
            said += self._event("response.content_part.done", **where, content_index=0, part=_thoughts(text))
        return said + self._item("done", 0, self._thought_of()[0])

    def _thought_of(self) -> list[Json]:
        """What stands before the message."""
        has_any = self._summary or self._thoughts is not None
        return [_reasoning(self._id, self._summary, self._thoughts)] if has_any else []

    def _call(self, at: int, call: ToolCall, item: Mapping[str, Json]) -> bytes:
        where = {"item_id": item["id"], "output_index": at}
        said = self._item("added", at, {**item, "arguments": "", "status": "in_progress"})
        said += self._event("response.function_call_arguments.delta", **where, delta=call.arguments)
        said += self._event(
            "response.function_call_arguments.done", **where, name=call.name, arguments=call.arguments
        )
        return said + self._item("done", at, item)

    def _place(self) -> int:
        """Of the message in the output."""
        return len(self._thought_of())

    def _thinking(self) -> dict[str, Json]:
        return {"item_id": _item_id("rs", self._id), "output_index": 0}

    def _writing(self) -> dict[str, Json]:
        return {"item_id": _item_id("msg", self._id), "output_index": self._place(), "content_index": 0}

    def _item(self, what: str, at: int, item: Mapping[str, Json]) -> bytes:
        return self._event(f"response.output_item.{what}", output_index=at, item=item)

    def _object(self, status: str) -> dict[str, Json]:
        reply = Reply(id=self._id, model=self._model, created=self._created, choices=(), echo=self._echo)
        return _response(reply, status)

    def _event(self, kind: str, **said: Json) -> bytes:
        data = {"type": kind, "sequence_number": self._sequence, **said}
        self._sequence += 1
        return sse(data, kind)


def _response(reply: Reply, status: str) -> dict[str, Json]:
    echo = dict(reply.echo)
    if "tools" in echo:
        echo["tools"] = [{**_TOOL, **tool} for tool in echo["tools"]]
    return {
        "id": reply.id,
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": reply.model,
        "output": [],
        "usage": None,
        **_DEFAULTS,
        **echo,
    }


def _final(reply: Reply, before: Sequence[Json], *, has_text: bool) -> dict[str, Json]:
    """The whole response; `before` its message, which was begun where it `has_text`, be it empty."""
    choice = reply.choices[0]
    reason = _INCOMPLETE.get(choice.finish)
    output = [*before]
    if has_text or choice.text or not choice.tool_calls:
        output.append(_message(reply.id, choice))
    output += [
        {
            "id": _item_id(f"fc{i}", reply.id),
            "type": "function_call",
            "status": "completed",
            "call_id": c.id,
            "name": c.name,
            "arguments": c.arguments,
        }
        for i, c in enumerate(choice.tool_calls)
    ]
    usage = reply.usage
    return _response(reply, "incomplete" if reason else "completed") | {
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": {
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
            "output_tokens": usage.completion,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.prompt + usage.completion,
        },
        "nbest": reply.nbest,
    }


def _message(response_id: str, choice: Choice | None) -> dict[str, Json]:
    """The answer as an item; None is one that has just begun."""
    status = (
        "in_progress" if choice is None else "incomplete" if choice.finish in _INCOMPLETE else "completed"
    )
    return {
        "id": _item_id("msg", response_id),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [] if choice is None else [_part(choice)],
    }


def _part(choice: Choice) -> dict[str, Json]:
    """What a message holds."""
    if choice.refusal is not None:
        return {"type": "refusal", "refusal": choice.refusal}
    rows = token_rows(choice.logprobs) if choice.logprobs else []
    return {"type": "output_text", "text": choice.text, "annotations": [], "logprobs": rows}


def _reasoning(response_id: str, summary: str | None = None, thoughts: str | None = None) -> dict[str, Json]:
    """Thinking as an item; without a summary, be it empty, one that has just begun."""
    return {
        "id": _item_id("rs", response_id),
        "type": "reasoning",
        "status": "in_progress" if summary is None else "completed",
        "summary": [{"type": "summary_text", "text": summary}] if summary else [],
        **({} if thoughts is None else {"content": [_thoughts(thoughts)]}),
    }


def _thoughts(text: str) -> dict[str, Json]:
    return {"type": "reasoning_text", "text": text}


def _item_id(kind: str, response_id: str) -> str:
    return f"{kind}_{response_id.removeprefix('resp_')}"
