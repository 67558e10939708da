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
    if found.content is not None:
        tokens = [t.token for t in found.content]
        values = [t.logprob for t in found.content]
        top = [{a.token: a.logprob for a in t.top_logprobs or ()} for t in found.content]
    elif found.tokens is not None and found.token_logprobs is not None:
        tokens, values = found.tokens, found.token_logprobs
        top = [alternatives or {} for alternatives in found.top_logprobs or ()]
    else:
        return None

    finite = [v for v in values if _is_finite(v)]
    if not len(tokens) == len(values) == len(finite):
        return None
    return Logprobs(
        tokens=tuple(well_formed(t) for t in tokens),
        values=tuple(v for v in finite if v is not None),
        top=tuple(_finite_alternatives(t) for t in top) if num_top else (),
    )


def num_tokens(found: ServerLogprobs | None) -> int | None:
    """How many tokens a choice has; None without log-probabilities."""
    if found is None:
        return None
    if found.content is not None:
        return len(found.content)
    return None if found.tokens is None else len(found.tokens)


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
    found = reply.choices[0].logprobs if reply.choices else None
    if not (found and found.tokens and found.token_logprobs and found.text_offset):
        return None
    rows = zip(found.tokens, found.token_logprobs, found.text_offset, strict=False)
    inside = [(token, value) for token, value, at in rows if start <= at < stop]
    known = [(token, value) for token, value in inside if value is not None]
    return Logprobs(tokens=tuple(t for t, _ in known), values=tuple(v for _, v in known))


def _is_finite(value: float | None) -> bool:
    return value is not None and isfinite(value)


def _finite_alternatives(alternatives: Mapping[str, float | None]) -> dict[str, float]:
    return {well_formed(t): v for t, v in alternatives.items() if v is not None and isfinite(v)}


def _concatenated(lists: Sequence[list[_T] | None]) -> list[_T] | None:
    present = [part for part in lists if part is not None]
    if not present:
        return None
    return [item for part in present for item in part]
