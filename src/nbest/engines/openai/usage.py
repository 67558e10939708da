"""Token counts of a call, and their shares for each of its completions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, NamedTuple, cast

from nbest.accounting.tokens import estimated_tokens
from nbest.types import Completion, Json, Usage, replace

_MAX_COUNT = 2**53
_MAX_DIGITS = 15


class TokenCounts(NamedTuple):
    """What a server says that a call, or one choice of it, cost; None where it does not say."""

    prompt: int | None = None
    cached: int | None = None
    """The part of `prompt` that came from the server's cache."""
    completion: int | None = None
    reasoning: int | None = None
    """The part of `completion` that was reasoning."""


def token_counts(usage: Json) -> TokenCounts:
    """The counts in a reply's `usage`. One that makes no sense counts as not said."""
    if not usage:  # of most choices, which servers do not count one by one
        return TokenCounts()
    return TokenCounts(
        prompt=_count(usage, "prompt_tokens"),
        cached=_count(_field(usage, "prompt_tokens_details"), "cached_tokens"),
        completion=_count(usage, "completion_tokens"),
        reasoning=_count(_field(usage, "completion_tokens_details"), "reasoning_tokens"),
    )


def summed_usage(usages: Sequence[Json]) -> Json:
    """`usage` of one call from those of its choices, which each name the whole prompt; None without any."""
    if not usages:
        return None
    counts = [token_counts(usage) for usage in usages]
    return {
        "prompt_tokens": counts[0].prompt,
        "prompt_tokens_details": {"cached_tokens": counts[0].cached},
        "completion_tokens": _sum(c.completion for c in counts),
        "completion_tokens_details": {"reasoning_tokens": _sum(c.reasoning for c in counts)},
    }


def with_usage(
    drawn: Sequence[Completion],
    counts: TokenCounts,
    *,
    by_choice: Sequence[int | None],
    max_tokens: int,
) -> list[Completion]:
    """`drawn` with their shares of the call's tokens, which sum to the call's.

    The prompt and reasoning of the call are charged to the first. `by_choice` holds the completion tokens
    of each where they are known; `max_tokens` is what a truncated one has.
    """
    shares = _shares(drawn, by_choice, counts.completion, max_tokens)
    first = Usage(
        prompt=counts.prompt or 0,
        cached=counts.cached or 0,
        completion=shares[0],
        calls=1,
        reasoning=counts.reasoning or 0,
    )
    usages = [first, *(Usage(completion=share) for share in shares[1:])]
    return [replace(d, usage=usage) for d, usage in zip(drawn, usages, strict=True)]


def split(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole parts proportional to `weights` (largest remainders); in equal parts where all are 0."""
    if not sum(weights):
        weights = [1] * len(weights)
    all_weight = sum(weights)
    parts = [total * w // all_weight for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % all_weight), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def _shares(
    drawn: Sequence[Completion], by_choice: Sequence[int | None], total: int | None, max_tokens: int
) -> list[int]:
    """Tokens of each completion: as counted; else from being truncated; else by length in bytes."""
    known = [num for num in by_choice if num is not None]
    is_known = len(known) == len(drawn)
    if total is not None and len(drawn) == 1:
        return [max([total, *known])]
    if is_known:
        return _counted_shares(known, total)
    if total is None:
        return [estimated_tokens(d.text) for d in drawn]
    return _shares_by_length(drawn, total, max_tokens)


def _counted_shares(known: list[int], total: int | None) -> list[int]:
    """Where each completion was counted: `total` in their proportion, unless the server counts one choice alone."""
    if total is None or total < sum(known):
        return known
    return split(total, known)


def _shares_by_length(drawn: Sequence[Completion], total: int, max_tokens: int) -> list[int]:
    """`max_tokens` for each truncated completion; the rest of `total` by length in bytes."""
    weights = [1 + len(d.text.encode(errors="replace")) for d in drawn]
    is_truncated = [d.finish == "length" for d in drawn]
    rest = total - sum(is_truncated) * max_tokens
    if rest < 0 or (rest > 0 and all(is_truncated)):  # truncated by the context, not by max_tokens
        return split(total, weights)

    whole = [i for i, is_cut in enumerate(is_truncated) if not is_cut]
    shares = [max_tokens] * len(drawn)
    for i, share in zip(whole, split(rest, [weights[i] for i in whole]), strict=True):
        shares[i] = share
    return shares


def _count(of: Json, name: str) -> int | None:
    """A number of at least 0 (a float is rounded), or its digits as text; else None."""
    value = _field(of, name)
    if type(value) is int and 0 <= value <= _MAX_COUNT:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not isfinite(value) or not 0 <= value <= _MAX_COUNT:
        return None
    return round(value)


def _field(of: Json, name: str) -> Any:
    if not isinstance(of, dict):
        return None
    return cast("dict[str, Json]", of).get(name)


def _sum(counts: Iterable[int | None]) -> int | None:
    """None where nobody counted."""
    known = [num for num in counts if num is not None]
    if not known:
        return None
    return sum(known)
