"""What a strategy may draw at most, known from its parameters before anything is drawn.

A plug-in that draws has a method `demand(n, steps)`, for a pool of n candidates of so many steps; samplers, searches
and strategies have pools of their own, and ignore n. A plug-in without one draws what those within it draw.

Not everything can be known. Counted are: `STEPS` steps an answer, candidates of `TOKENS_PER_CANDIDATE` tokens where a
context holds several, and one repeated question for each reply without a verdict. A budget bounds what goes beyond.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

STEPS = 8
"""Steps that an answer is supposed to have."""
TOKENS_PER_CANDIDATE = 1024


class Demand(NamedTuple):
    """Draws, their output tokens, and how often the prompt is sent."""

    answers: int = 0
    """Draws of whole answers, whose length a client may set."""
    answer_tokens: int = 0
    """Of these, as long as the plug-ins allow."""
    others: int = 0
    """Steps, verdicts, critiques, translations, completions of beginnings."""
    other_tokens: int = 0
    copies: int = 0
    """Copies of the prompt in all requests together, a draw counted as a request."""

    @property
    def draws(self) -> int:
        """Of all roles together."""
        return self.answers + self.others

    def tokens(self, max_tokens: int | None = None) -> int:
        """Output tokens, with answers of `max_tokens` where it is given."""
        of_answers = self.answer_tokens if max_tokens is None else self.answers * max_tokens
        return of_answers + self.other_tokens


def answers(n: int, max_tokens: int, *, copies: int = 1) -> Demand:
    """`n` whole answers, each asked for with so many copies of the prompt."""
    return Demand(answers=n, answer_tokens=n * max_tokens, copies=n * copies)


def others(n: int, max_tokens: int) -> Demand:
    """`n` draws that are no whole answers."""
    return Demand(others=n, other_tokens=n * max_tokens, copies=n)


def total(*demands: Demand) -> Demand:
    """All of them together."""
    return Demand(*map(sum, zip(Demand(), *demands, strict=True)))


def demand_of(plugin: Any, n: int = 0, steps: int = STEPS) -> Demand:
    """What a plug-in and those within it may draw for a pool of `n` candidates of `steps` steps."""
    own = getattr(plugin, "demand", None)
    if own is not None:
        return own(n, steps)
    return total(*(demand_of(inner, n, steps) for inner in plugins_within(plugin)))


def plugins_within(plugin: Any) -> Iterator[Any]:
    """The plug-ins that are parameters of a plug-in."""
    for name in getattr(plugin, "__dataclass_fields__", ()):
        value = getattr(plugin, name)
        several = cast("tuple[Any, ...]", value if isinstance(value, tuple) else (value,))
        yield from (inner for inner in several if dataclasses.is_dataclass(inner))
