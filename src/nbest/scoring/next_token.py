"""The probability of one word against another as the next token, from one drawn token."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from math import exp, fsum

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.types import Completion, Role


async def num_logprobs(
    ctx: Context, role: Role, engine: str | None, *, wanted: int, lacking: CapabilityError
) -> int:
    """How many next tokens to look at: `wanted`, or what the engine gives. Raises `lacking`."""
    can = await ctx.capabilities(role, engine)
    if can is None:
        return wanted
    if not can.logprobs:
        raise lacking
    return min(wanted, can.max_logprobs or wanted)


def share(completion: Completion, words: Sequence[str], others: Sequence[str]) -> float | None:
    """P(words) / (P(words) + P(others)) as the next token; None where neither is among the likeliest."""
    if completion.error is not None or completion.logprobs is None or not completion.logprobs.top:
        return None
    top = completion.logprobs.top[0]
    yes, no = _mass(top, words, others), _mass(top, others, words)
    if yes + no <= 0:
        return None
    return yes / (yes + no)


def has_alternatives(completion: Completion) -> bool:
    """Whether the completion has alternatives to its tokens."""
    return bool(completion.logprobs and completion.logprobs.top)


def _mass(top: Mapping[str, float], words: Sequence[str], others: Sequence[str]) -> float:
    """Probability of the tokens that begin one of `words` and none of `others`."""
    return fsum(exp(lp) for token, lp in top.items() if _begins(token, words) and not _begins(token, others))


def _begins(token: str, words: Sequence[str]) -> bool:
    """A vocabulary may split a word anywhere, so the first part of one counts as the word."""
    part = _plain(token)
    return bool(part) and any(_plain(w).startswith(part) for w in words)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip(" \t\n▁Ġ*\"'").casefold()
