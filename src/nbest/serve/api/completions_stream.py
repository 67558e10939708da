"""What POST /v1/completions streams; this API has neither roles nor reasoning nor tool calls."""

from __future__ import annotations

from nbest.serve.api.completions_reply import text_finish, text_logprobs
from nbest.serve.api.reply import Reply
from nbest.serve.api.writer import OTHER_BEGINNING, ChunkStream, unsent


class CompletionWriter(ChunkStream):
    """A `Writer` of legacy completions."""

    _object = "text_completion"

    def start(self) -> bytes:
        """Nothing: the first chunk has text."""
        return b""

    def show_progress(self, text: str) -> bytes:
        """Nothing."""
        return b""

    def reasoning(self, delta: str) -> bytes:
        """Nothing."""
        return b""

    def text(self, delta: str) -> bytes:
        if not delta:
            return b""
        choice = {"index": 0, "text": delta, "logprobs": None, "finish_reason": None}
        return self._chunk([choice])

    def finish(self, reply: Reply, *, emitted: str = "") -> bytes:
        out = b""
        for i, choice in enumerate(reply.choices):
            rest = unsent(choice.text, "" if i else emitted)
            if rest is None:
                return self.error(OTHER_BEGINNING)
            last = {
                "index": i,
                "text": rest,
                "logprobs": text_logprobs(choice),
                "finish_reason": text_finish(choice),
            }
            out += self._last_of(last, reply)
        return out + self._end(reply)
