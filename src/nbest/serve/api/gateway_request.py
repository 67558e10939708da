"""What a client of the gateway asks for, whichever of OpenAI's three APIs it uses."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Literal

from nbest.text.language_codes import check_language
from nbest.types import Budget, Json, Message, Overrides, Value

Progress = Literal["comments", "events", "reasoning", "none"]
"""What a stream sends while candidates arrive."""

MAX_N = 1024
WITHIN_N = f"must be at least 1, and at most what the server allows (never above {MAX_N})"


LIMITS = ("samples", "tokens", "seconds", "input_chars")
"""Of a `Budget`, those that clients set; sizes of models, and so FLOPs, are the operator's."""


class NbestOptions(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key `nbest` of a request; OpenAI's clients send it as `extra_body={"nbest": {…}}`."""

    strategy: str | None = None
    """A spec, or the name of a preset."""
    n: int | None = None
    """Size of the pool."""
    deadline: float | None = None
    """Seconds from the request to the answer."""
    budget: Budget | None = None
    language: str | None = None
    """Code of the language that the answer should be in."""
    task: str | None = None
    candidates: bool = False
    """Whether the reply holds the pool."""
    progress: Progress = "comments"

    @property
    def has_deadline(self) -> bool:
        """Whether the client itself sets a limit of time."""
        return self.deadline is not None or (self.budget is not None and self.budget.seconds is not None)

    def __post_init__(self) -> None:
        """Raises `ValueError` for values that no request can have; its message begins with the field."""
        if self.strategy == "":
            raise ValueError("strategy is empty: name one, or leave it out")
        if self.n is not None and not 1 <= self.n <= MAX_N:
            raise ValueError(f"n {WITHIN_N}, got {self.n}")
        if self.deadline is not None and not 0 < self.deadline < inf:
            raise ValueError(f"deadline must be above 0 seconds, got {self.deadline:g}")

        if self.language is not None:
            try:
                check_language(self.language)
            except ValueError as e:
                raise ValueError(f"language {e}") from None

        for name in LIMITS:
            limit = getattr(self.budget, name, None)
            if limit is not None and not 0 <= limit < inf:
                raise ValueError(f"budget.{name} must not be negative, got {limit}")


class GatewayRequest(Value, frozen=True, kw_only=True):
    """A request of any of the APIs."""

    model: str
    messages: tuple[Message, ...]
    overrides: Overrides = Overrides()
    """What the client sets for every draw; they win over the strategy's own parameters."""
    n: int = 1
    """How many answers the reply holds."""
    seed: int | None = None
    stream: bool = False
    include_usage: bool = False
    """Whether a stream ends with the usage."""
    nbest: NbestOptions = NbestOptions()
    echo: Mapping[str, Json] = {}
    """Settings that the reply repeats, as the Responses API does."""
