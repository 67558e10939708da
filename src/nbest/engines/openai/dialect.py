"""What one OpenAI-compatible server understands: known by its name for itself, else learnt by asking.

Servers disagree: `n` is ignored, capped or refused; extra fields are a 422; a trailing assistant
message is continued with or without flags, echoed, or answered anew. Nothing learnt is forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from nbest.engines.openai.reasoning import REASONING_FIELDS
from nbest.engines.openai.refusals import OPTIONAL
from nbest.engines.openai.request import chat_body, own_fields, text_body
from nbest.engines.openai.server_rules import OTHER, RULES, ServerRules
from nbest.protocols import Capabilities
from nbest.types import Json, Request

log = logging.getLogger("nbest.engines.openai.openai")

_PENALTIES = frozenset({"presence_penalty", "frequency_penalty", "repeat_penalty"})
_GO_TOGETHER: Mapping[str, tuple[str, ...]] = {
    "logprobs": ("top_logprobs",),
    "stream": ("stream_options",),
    "continue_final_message": ("add_generation_prompt",),
    "add_generation_prompt": ("continue_final_message",),
}
"""A refused field → others that mean nothing without it."""


@dataclass(slots=True)
class Dialect:
    """What is known about one server and model."""

    server: str | None = None
    """A key of `RULES`, or None for any other server."""
    max_n: int | None = None
    max_logprobs: int | None = None
    has_logprobs: bool = True
    refused: set[str] = field(default_factory=set[str])
    continues: bool | None = None
    """Whether an assistant prefix is continued; None: not tried yet."""
    echoes: bool | None = None
    """Whether the reply repeats the prefix; None: not tried yet."""
    reasoning_field: str | None = None
    """The one of `REASONING_FIELDS` that the server sends, and takes in earlier turns; "": it takes none;
    None: it has sent none yet."""

    @classmethod
    def of_server(cls, server: str | None) -> Dialect:
        """What is known of a kind of server before anything was tried."""
        rules = RULES.get(server or "", OTHER)
        return cls(server=server, continues=rules.continues, echoes=rules.echoes)

    @property
    def rules(self) -> ServerRules:
        return RULES.get(self.server or "", OTHER)

    @property
    def streams_pools(self) -> bool:
        """Whether calls for several draws are streamed."""
        return self.rules.streams_pools

    def capabilities(self) -> Capabilities:
        """As far as known; what was not tried yet counts as there."""
        return Capabilities(
            max_n=self.max_n,
            logprobs=self.has_logprobs,
            max_logprobs=self.max_logprobs,
            prefix=self.continues is not False,
            min_p="min_p" not in self.refused,
            seed="seed" not in self.refused,
            scores_text=self.rules.scores_text,
            names_stop=self.rules.names_stop,
        )

    def body(
        self, request: Request, model: str, *, is_chat: bool, is_streamed: bool = False
    ) -> dict[str, Json]:
        """What to send for `request`, without what this server refuses; a client's own fields stay."""
        own = set(own_fields(request))
        body = chat_body(request, model) if is_chat else text_body(request, model)
        body = {**self.rules.neutral, **body}
        if self.rules.names_penalties and own & _PENALTIES and "samplers" not in own:
            body["samplers"] = ["penalties", *body["samplers"]]
        if is_chat and request.prefix:
            body |= self.rules.continue_flags
        body = self._with_logprobs(body, request.params.logprobs, is_chat=is_chat)
        if is_chat:
            body = self.with_reasoning_field(body)
        if is_streamed and "stream" not in self.refused:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return without(body, self.refused - own)

    def _with_logprobs(self, body: dict[str, Json], wanted: int | None, *, is_chat: bool) -> dict[str, Json]:
        """`body` with at least as many alternatives as the server needs, and no more than it takes."""
        if wanted is not None and wanted < self.rules.min_logprobs:
            name = "top_logprobs" if is_chat else "logprobs"
            body = {**body, name: self.rules.min_logprobs}
        if self.max_logprobs is not None and num_alternatives(body) > self.max_logprobs:
            body = capped(body, self.max_logprobs)
        return body

    def with_reasoning_field(self, body: Mapping[str, Json]) -> dict[str, Json]:
        """`body` with the reasoning of earlier turns under the server's own name for it, if it takes any."""
        if self.reasoning_field is None:
            return dict(body)
        turns: list[dict[str, Json]] = []
        for turn in body["messages"]:
            reasoning = [turn[name] for name in REASONING_FIELDS if name in turn]
            renamed = {name: value for name, value in turn.items() if name not in REASONING_FIELDS}
            if reasoning and self.reasoning_field:
                renamed[self.reasoning_field] = reasoning[0]
            turns.append(renamed)
        return {**body, "messages": turns}

    def learn_reasoning_refused(self, names: AbstractSet[str]) -> None:
        """Remembers refused names of reasoning in earlier turns: the other one is tried, and then none."""
        is_first = self.reasoning_field is None and names == {REASONING_FIELDS[0]}
        self.reasoning_field = REASONING_FIELDS[1] if is_first else ""

    def learn_refused(self, fields: AbstractSet[str], host: str) -> None:
        """Remembers fields that the server works without, with one warning for each."""
        for name in sorted(fields - self.refused):
            self.refused.add(name)
            if name == "logprobs":
                self.has_logprobs = False
            log.warning("%s refuses %s: %s", host, name, OPTIONAL[name])

    def learn_max_n(self, max_n: int, host: str) -> None:
        """Remembers how many draws one call gives."""
        if self.max_n is None or max_n < self.max_n:
            self.max_n = max_n
            log.info("%s gives %d of several draws in a call: more calls are made", host, max_n)

    def learn_no_logprobs(self, host: str) -> None:
        """Remembers that a reply came without the log-probabilities asked for."""
        if self.has_logprobs:
            self.has_logprobs = False
            log.warning("%s ignores logprobs: there are no log-probabilities", host)


def without(body: Mapping[str, Json], refused: AbstractSet[str]) -> dict[str, Json]:
    """`body` without refused fields and those that mean nothing without them."""
    left_out = {*refused, *(name for refused_one in refused for name in _GO_TOGETHER.get(refused_one, ()))}
    rest = {name: value for name, value in body.items() if name not in left_out}
    if "max_tokens" in refused and "max_tokens" in body:
        rest["max_completion_tokens"] = body["max_tokens"]
    return rest


def num_alternatives(body: Mapping[str, Json]) -> int:
    """How many log-probabilities per place `body` asks for."""
    wanted = body.get("logprobs")
    is_chat = isinstance(wanted, bool)
    return body.get("top_logprobs", 0) if is_chat else wanted or 0


def capped(body: Mapping[str, Json], most: int) -> dict[str, Json]:
    """`body` with at most that many alternatives per place."""
    name = "top_logprobs" if body["logprobs"] is True else "logprobs"
    return {**body, name: most}
