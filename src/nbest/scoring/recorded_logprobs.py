"""The log-probabilities that candidates were recorded with, as confidence scorers read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum

from nbest.errors import CapabilityError
from nbest.types import Candidate, Logprobs, Prompt

_LEAST_TOP = 2
"""One alternative alone says nothing about the others."""


def logprobs_of(prompt: Prompt, candidates: Sequence[Candidate]) -> list[Logprobs | None]:
    """Each candidate's own log-probabilities. Raises `CapabilityError` where no candidate has any."""
    recorded = [c.logprobs for c in candidates]
    if candidates and not any(recorded):
        raise CapabilityError(
            f"the candidates of prompt {prompt.id!r} have no log-probabilities: the server does not return"
            " them, or the pool was recorded without. Use an engine that does, or another selector, such as"
            "  mbr"
        )
    return recorded


def alternatives_of(prompt: Prompt, candidates: Sequence[Candidate], top: int) -> list[list[list[float]]]:
    """Per candidate and token, the log-probabilities (nats) of the `top` likeliest tokens, highest first.

    Tokens without alternatives are left out. Cut to `top`, because a pool may be recorded with more, and
    because some servers add the drawn token where it is none of the likeliest, which would make a place
    look the surer the unlikelier the token is. Raises `CapabilityError` where no candidate has any.
    """
    recorded = logprobs_of(prompt, candidates)
    places = [_places(logprobs, top) for logprobs in recorded]
    has_tokens = any(logprobs and logprobs.values for logprobs in recorded)
    if has_tokens and not any(places):
        raise CapabilityError(
            f"the candidates of prompt {prompt.id!r} have the log-probabilities of their own tokens only, and"
            " alternatives are needed: draw again with this scorer, from an engine that returns"
            " top_logprobs, or use  logprob"
        )
    return places


def check_top(top: int) -> None:
    """Raises `ValueError` for fewer alternatives than two."""
    if top < _LEAST_TOP:
        raise ValueError(f"top must be at least {_LEAST_TOP} alternatives, got {top}")


def mean(values: Sequence[float]) -> float | None:
    """None of no values."""
    if not values:
        return None
    return fsum(values) / len(values)


def _places(logprobs: Logprobs | None, top: int) -> list[list[float]]:
    if logprobs is None:
        return []
    return [_likeliest(at, top) for at in logprobs.top if at]


def _likeliest(at: Mapping[str, float], top: int) -> list[float]:
    return sorted(at.values(), reverse=True)[:top]
