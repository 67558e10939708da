"""What one OpenAI-compatible server understands: known by its name for itself, else learnt by asking.

Servers disagree: `n` is ignored, capped or refused; extra fields are a 422; a trailing assistant
message is continued with or without flags, echoed, or answered anew. What requests have shown is
forgotten after an hour (`facts`); what our own probes have shown stays.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from nbest.engines.openai.facts import ScopedFacts, is_plain
from nbest.engines.openai.reasoning_fields import REASONING_FIELDS
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
    facts: ScopedFacts = field(default_factory=ScopedFacts)
    continues: bool | None = None
    """Whether an assistant prefix is continued; None: not tried yet."""
    echoes: bool | None = None
    """Whether the reply repeats the prefix; None: not tried yet."""
    reasoning_field: str | None = None
    """The one of `REASONING_FIELDS` that the server sends, and takes in earlier turns; "": it takes none;
    None: it has sent none yet."""
    _warned: set[str] = field(default_factory=set[str])
    """What was logged, which is not logged again when it is learnt again."""

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
        known = self.facts.general
        return Capabilities(
            max_n=known.max_n,
            logprobs=known.has_logprobs,
            max_logprobs=known.max_logprobs,
            prefix=self.continues is not False,
            min_p="min_p" not in known.refused,
            seed="seed" not in known.refused,
            scores_text=self.rules.scores_text,
            names_stop=self.rules.names_stop,
            counts_cut=True,
        )

    def body(
        self, request: Request, model: str, *, is_chat: bool, is_streamed: bool = False
    ) -> dict[str, Json]:
        """What to send for `request`, without what this server refuses; a client's own fields stay."""
        own = set(own_fields(request))
        refused = {name for facts in self.facts.all_for(request) for name in facts.refused}
        make = chat_body if is_chat else text_body
        body = {**self.rules.neutral, **make(request, model)}
        if self.rules.names_penalties and own & _PENALTIES and "samplers" not in own:
            body["samplers"] = ["penalties", *body["samplers"]]
        if is_chat and request.prefix:
            body |= self.rules.continue_flags
        if request.params.logprobs is not None or own:
            body = self._with_logprobs(body, request, is_chat=is_chat)
        if is_chat and self.reasoning_field is not None:
            body = with_reasoning_field(body, self.reasoning_field)
        if is_streamed and "stream" not in refused:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return without(body, refused - own)

    def max_n(self, request: Request) -> int | None:
        """How many draws one call gives of requests such as `request`; None where no limit is known."""
        limits = [facts.max_n for facts in self.facts.all_for(request) if facts.max_n is not None]
        return min(limits, default=None)

    def _with_logprobs(self, body: dict[str, Json], request: Request, *, is_chat: bool) -> dict[str, Json]:
        """`body` with at least as many alternatives as the server needs, and no more than it takes."""
        wanted = request.params.logprobs
        if wanted is not None and wanted < self.rules.min_logprobs:
            name = "top_logprobs" if is_chat else "logprobs"
            body = {**body, name: self.rules.min_logprobs}
        for facts in self.facts.all_for(request):
            if facts.max_logprobs is not None and num_alternatives(body) > facts.max_logprobs:
                body = capped(body, facts.max_logprobs)
        return body

    def learn_refused(self, request: Request, fields: AbstractSet[str], host: str) -> None:
        """Remembers fields that requests such as `request` go through without."""
        facts = self.facts.of(request)
        for name in sorted(fields):
            facts.refused.add(name)
            if name == "logprobs":
                facts.has_logprobs = False
            self._log(
                f"{name} {is_plain(request)}", logging.WARNING, f"{host} refuses {name}: {OPTIONAL[name]}"
            )

    def learn_max_n(self, request: Request, max_n: int, host: str) -> None:
        """Remembers that a call gave `max_n` draws and not the `n` of `request`."""
        if self.facts.of(request).learn_max_n(max_n, refused_n=request.n):
            message = f"{host} gives {max_n} of several draws in a call: more calls are made"
            self._log(message, logging.INFO, message)

    def learn_no_logprobs(self, request: Request, host: str) -> None:
        """Remembers that a text came without the log-probabilities asked for."""
        self.facts.of(request).has_logprobs = False
        self._log("no logprobs", logging.WARNING, f"{host} ignores logprobs: there are no log-probabilities")

    def _log(self, key: str, level: int, message: str) -> None:
        """Once for each key."""
        if key not in self._warned:
            self._warned.add(key)
            log.log(level, "%s", message)


def with_reasoning_field(body: Mapping[str, Json], field_name: str) -> dict[str, Json]:
    """`body` with the reasoning of earlier turns under one name; without it where the name is empty."""
    turns: list[dict[str, Json]] = []
    for turn in body.get("messages", ()):
        reasoning = [turn[name] for name in REASONING_FIELDS if name in turn]
        renamed = {name: value for name, value in turn.items() if name not in REASONING_FIELDS}
        if reasoning and field_name:
            renamed[field_name] = reasoning[0]
        turns.append(renamed)
    return {**body, "messages": turns}


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
