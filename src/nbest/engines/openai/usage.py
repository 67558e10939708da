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
    if total is None:
        return known if is_known else [estimated_tokens(d.text) for d in drawn]
    if len(drawn) == 1:
        return [max([total, *known])]
    if is_known and total < sum(known):  # some servers count one choice alone
        return known
    if is_known:
        return split(total, known)

    num_bytes = [len(d.text.encode(errors="replace")) for d in drawn]
    is_truncated = [d.finish == "length" for d in drawn]
    rest = total - sum(is_truncated) * max_tokens
    if rest < 0 or (rest > 0 and all(is_truncated)):  # truncated by the context, not by max_tokens
        return split(total, [num + 1 for num in num_bytes])
    weights = [0 if cut else num + 1 for cut, num in zip(is_truncated, num_bytes, strict=True)]
    parts = split(rest, weights)
    return [max_tokens if cut else part for cut, part in zip(is_truncated, parts, strict=True)]


def _count(of: Json, name: str) -> int | None:
    """A number of at least 0 (a float is rounded), or its digits as text; else None."""
    value = _field(of, name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    is_count = isfinite(value) and 0 <= value <= _MAX_COUNT
    return round(value) if is_count else None


def _field(of: Json, name: str) -> Any:
    return cast("dict[str, Json]", of).get(name) if isinstance(of, dict) else None


def _sum(counts: Iterable[int | None]) -> int | None:
    """None where nobody counted."""
    known = [num for num in counts if num is not None]
    return sum(known) if known else None
