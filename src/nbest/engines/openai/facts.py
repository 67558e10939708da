"""What replies have shown of a server, for a while, and apart for what one client's own fields may have caused."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from nbest.engines.openai.request import own_fields
from nbest.types import Json, Request

FACTS_S = 3600.0
"""How long a fact holds; then the server is tried again. Servers are updated, and a fact may be wrong."""
_MAX_SCOPES = 128
_CHANGE_NO_TEXT = frozenset(
    {"user", "metadata", "safety_identifier", "prompt_cache_key", "store", "service_tier"}
)
"""Fields that servers keep for their logs and bills: they differ from client to client and decide nothing else."""
_PLAIN = b""

_MAX_SEED = 2**31
_MAX_TOP_K = 100
_MAX_ALTERNATIVES = 5
"""The fewest that any known API takes as its largest (OpenAI's /completions)."""


@dataclass(slots=True)
class Facts:
    """What requests of one scope have shown. Nothing is known at first."""

    since: float = field(default_factory=time.monotonic)
    max_n: int | None = None
    """Largest number of draws in one call."""
    num_drawn: int = 1
    """Most draws that one call has given: no smaller limit is believed."""
    max_logprobs: int | None = None
    num_alternatives: int = 0
    """Most alternatives that a call was answered with: no smaller limit is believed."""
    has_logprobs: bool = True
    refused: set[str] = field(default_factory=set[str])

    def learn_num_drawn(self, n: int) -> None:
        """One call gave `n` draws."""
        self.num_drawn = max(self.num_drawn, n)

    def learn_max_n(self, max_n: int, *, refused_n: int) -> bool:
        """A call for `refused_n` draws was refused or cut, one for `max_n` was not. Returns whether that is news."""
        if refused_n <= self.num_drawn:  # it gave as many before
            self.num_drawn = max_n
        limit = max(max_n, self.num_drawn)
        if self.max_n is not None and self.max_n <= limit:
            return False
        self.max_n = limit
        return True

    def learn_max_logprobs(self, most: int) -> None:
        """More alternatives than `most` were refused, and these were not."""
        self.max_logprobs = max(most, self.num_alternatives)


class ScopedFacts:
    """Facts from plain requests, which hold for all, and those from requests with fields of a client's own.

    A client may send fields with which a server refuses what it takes otherwise (n, log-probabilities, a stream):
    what such a request shows holds for requests with the same fields and values only. Greedy pools are apart too:
    vLLM refuses n > 1 at temperature 0.
    """

    def __init__(self) -> None:
        self._general = Facts()
        self._by_scope: OrderedDict[bytes, Facts] = OrderedDict()

    @property
    def general(self) -> Facts:
        """Those that hold for all requests."""
        if _is_over(self._general):
            self._general = Facts()
        return self._general

    def of(self, request: Request) -> Facts:
        """Those that `request` may add to."""
        return self._in(_scope(request))

    def all_for(self, request: Request) -> list[Facts]:
        """Those that hold for `request`, the general ones first."""
        scope = _scope(request)
        if scope == _PLAIN:
            return [self.general]
        return [self.general, self._in(scope)]

    def _in(self, scope: bytes) -> Facts:
        if scope == _PLAIN:
            return self.general
        facts = self._by_scope.get(scope)
        if facts is None or _is_over(facts):
            facts = self._by_scope[scope] = Facts()
        self._by_scope.move_to_end(scope)
        if len(self._by_scope) > _MAX_SCOPES:
            self._by_scope.popitem(last=False)
        return facts


def _is_over(facts: Facts) -> bool:
    return time.monotonic() - facts.since > FACTS_S


def is_plain(request: Request) -> bool:
    """Whether what `request` shows holds for all requests."""
    return _scope(request) == _PLAIN


def is_proof(name: str, value: Json) -> bool:
    """Whether a server that refuses `value` of a field refuses the field: it is one that every server with that field
    takes. A client may choose values that no server takes."""
    match name:
        case "temperature":
            return 0 <= value <= 1
        case "seed":
            return 0 <= value < _MAX_SEED
        case "top_k":
            return value <= _MAX_TOP_K
        case "logprobs" | "top_logprobs":
            return value <= _MAX_ALTERNATIVES
        case _:
            return True


def _scope(request: Request) -> bytes:
    """A digest of the client's own fields; empty for a plain request."""
    is_greedy_pool = request.n > 1 and request.params.temperature == 0
    overrides = request.prompt.overrides
    if not is_greedy_pool and (overrides is None or not overrides.body):
        return _PLAIN
    own: Mapping[str, Json] = {k: v for k, v in own_fields(request).items() if k not in _CHANGE_NO_TEXT}
    if not own and not is_greedy_pool:
        return _PLAIN
    encoded = msgspec.json.encode([own, is_greedy_pool], order="sorted")
    return hashlib.sha256(encoded).digest()
