"""Log-probabilities in replies of OpenAI-compatible servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TypeVar

from nbest.engines.openai.server_reply import ServerLogprobs, ServerReply
from nbest.engines.surrogates import well_formed
from nbest.errors import EngineProtocolError
from nbest.types import Logprobs

_T = TypeVar("_T")


def completion_logprobs(found: ServerLogprobs, *, num_top: int) -> Logprobs | None:
    """Of one choice, with its alternatives where `num_top` is above 0.

    None where they are not there or damaged: a token without a finite value, or tokens and values that
    do not pair. An alternative without a finite value is left out by itself.
    """
    tokens, values = _tokens(found), _values(found)
    if tokens is None or values is None:
        return None
    finite = [v for v in values if v is not None and isfinite(v)]
    if not len(tokens) == len(values) == len(finite):
        return None
    well_formed_tokens = tuple(well_formed(t) for t in tokens)
    if not num_top:
        return Logprobs(tokens=well_formed_tokens, values=tuple(finite))
    top = tuple(_finite_alternatives(alternatives) for alternatives in _alternatives(found))
    return Logprobs(tokens=well_formed_tokens, values=tuple(finite), top=top)


def num_tokens(found: ServerLogprobs | None) -> int | None:
    """How many tokens a choice has; None without log-probabilities."""
    if found is None:
        return None
    tokens = _tokens(found)
    if tokens is None:
        return None
    return len(tokens)


def joined_logprobs(parts: Sequence[ServerLogprobs]) -> ServerLogprobs | None:
    """Those of a stream's chunks, one behind the other; None without any."""
    if not parts:
        return None
    return ServerLogprobs(
        content=_concatenated([p.content for p in parts]),
        tokens=_concatenated([p.tokens for p in parts]),
        token_logprobs=_concatenated([p.token_logprobs for p in parts]),
        top_logprobs=_concatenated([p.top_logprobs for p in parts]),
    )


def prompt_logprobs(reply: ServerReply, *, start: int) -> Logprobs | None:
    """Of the prompt's tokens from number `start` on (from 1: the first has none), from vLLM's `prompt_logprobs=0`.

    None where there are none. Raises `EngineProtocolError` for a token without a finite value.
    """
    places = [place for place in reply.prompt_logprobs or () if place]
    if not places:
        return None
    given = [next(iter(place.values())) for place in places][start - 1 :]  # the token itself stands first
    values = [g.logprob for g in given if g.logprob is not None and isfinite(g.logprob)]
    if len(values) < len(given):
        raise EngineProtocolError("the server gave no finite log-probability of a token of the text")
    return Logprobs(tokens=tuple(well_formed(g.decoded_token or "") for g in given), values=tuple(values))


def echoed_logprobs(reply: ServerReply, start: int, stop: int) -> Logprobs | None:
    """Of the echoed tokens that begin at characters start ≤ c < stop; None where nothing was echoed."""
    if not reply.choices:
        return None
    found = reply.choices[0].logprobs
    if not (found and found.tokens and found.token_logprobs and found.text_offset):
        return None
    rows = zip(found.tokens, found.token_logprobs, found.text_offset, strict=False)
    inside = [(token, value) for token, value, at in rows if start <= at < stop]
    known = [(token, value) for token, value in inside if value is not None]
    return Logprobs(tokens=tuple(t for t, _ in known), values=tuple(v for _, v in known))


def _tokens(found: ServerLogprobs) -> list[str] | None:
    if found.content is None:
        return found.tokens
    return [place.token for place in found.content]


def _values(found: ServerLogprobs) -> list[float | None] | None:
    if found.content is None:
        return found.token_logprobs
    return [place.logprob for place in found.content]


def _alternatives(found: ServerLogprobs) -> list[dict[str, float | None]]:
    """Of each place, by token."""
    if found.content is None:
        return [alternatives or {} for alternatives in found.top_logprobs or ()]
    return [{a.token: a.logprob for a in place.top_logprobs or ()} for place in found.content]


def _finite_alternatives(alternatives: Mapping[str, float | None]) -> dict[str, float]:
    return {well_formed(t): v for t, v in alternatives.items() if v is not None and isfinite(v)}


def _concatenated(lists: Sequence[list[_T] | None]) -> list[_T] | None:
    present = [part for part in lists if part is not None]
    if not present:
        return None
    return [item for part in present for item in part]
