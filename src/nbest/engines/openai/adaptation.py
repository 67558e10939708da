"""One request on its way to a server that refuses a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from nbest.engines.openai.dialect import Dialect, capped, num_alternatives, with_reasoning_field, without
from nbest.engines.openai.facts import is_proof
from nbest.engines.openai.reasoning_fields import REASONING_FIELDS
from nbest.engines.openai.refusals import Refusal, refusal
from nbest.http_errors import UpstreamStatusError
from nbest.types import Json, Request


class PoolRefused(NamedTuple):
    """The server refuses as many draws in one call."""

    size: int
    """What it may take: a number that its message names, or half as many."""


@dataclass(slots=True, kw_only=True)
class Adaptation:
    """Changes a body by what the server says to it, and teaches the dialect once a changed body was taken.

    Nothing is learnt from an error alone: its words may be a client's, which servers repeat.
    """

    dialect: Dialect
    request: Request
    body: dict[str, Json]
    own: AbstractSet[str]
    """Fields that a client or the user has set: they are never left out."""
    _left_out: set[str] = field(default_factory=set[str])
    _max_logprobs: int | None = None
    _reasoning_field: str | None = None

    def change(self, error: UpstreamStatusError) -> PoolRefused | bool:
        """Changes the body; False where the error names nothing that can be left out."""
        refused = refusal(error.body, self.body, own=self.own)
        self._left_out -= refused.still_named
        if "n" in refused.fields:
            return self._smaller_pool(refused)
        if refused.reasoning:
            self._rename_reasoning(refused.reasoning)
            return True
        most = num_alternatives(self.body)
        limit = refused.limit or 0
        if 0 < limit < most and refused.fields & {"logprobs", "top_logprobs"}:
            self._max_logprobs = limit
            self.body = capped(self.body, limit)
            return True
        if not refused.fields:
            return False

        left_out = {name for name in refused.fields if is_proof(name, self.body[name])}
        changed = without(self.body, refused.fields)
        self._left_out |= left_out - changed.keys()
        self.body = changed
        return True

    def learn(self, host: str) -> None:
        """The body, as it is now, was taken."""
        self.dialect.learn_refused(self.request, self._left_out, host)
        if self._max_logprobs is not None:
            self.dialect.facts.of(self.request).learn_max_logprobs(self._max_logprobs)
        if self._reasoning_field is not None and _has_plain_reasoning(self.request):
            self.dialect.reasoning_field = self._reasoning_field

    def _smaller_pool(self, refused: Refusal) -> PoolRefused:
        n = self.request.n
        limit = refused.limit or 0
        if 0 < limit < n:
            return PoolRefused(limit)
        return PoolRefused(n // 2)

    def _rename_reasoning(self, names: AbstractSet[str]) -> None:
        """The other name is tried, and then none."""
        is_first = self._reasoning_field is None and self.dialect.reasoning_field is None
        name = ""
        if is_first and names == {REASONING_FIELDS[0]}:
            name = REASONING_FIELDS[1]
        self._reasoning_field = name
        self.body = with_reasoning_field(self.body, name)


def _has_plain_reasoning(request: Request) -> bool:
    """Whether all reasoning in earlier turns is text, which every server that takes reasoning takes."""
    turns: list[Mapping[str, Json]] = [message.fields for message in request.prompt.messages]
    values = [turn[name] for turn in turns for name in REASONING_FIELDS if name in turn]
    return all(isinstance(value, str) for value in values)
