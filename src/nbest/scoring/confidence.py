"""How sure the model was of its own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.types import Candidate, Logprobs, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Logprob:
    """Log-probability of the candidate under the model that drew it, by default the mean per token.

    A candidate of no tokens has no score. Raises `CapabilityError` where no candidate has any.
    """

    normalise: Literal["length", "none"] = "length"
    logprobs_needed: ClassVar[int] = 0

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        recorded = recorded_logprobs(prompt, candidates)
        return [Score(value=self._value(lp) if lp else None) for lp in recorded]

    def _value(self, logprobs: Logprobs) -> float | None:
        if not logprobs.values:
            return None
        total = fsum(logprobs.values)
        return total / len(logprobs.values) if self.normalise == "length" else total


def recorded_logprobs(prompt: Prompt, candidates: Sequence[Candidate]) -> list[Logprobs | None]:
    """Each candidate's own. Raises `CapabilityError` where none has any."""
    recorded = [c.logprobs for c in candidates]
    if candidates and not any(recorded):
        raise CapabilityError(
            f"the candidates of prompt {prompt.id!r} have no log-probabilities: the server does not return them,"
            " or the pool was recorded without. Use an engine that does, or another selector, such as  mbr"
        )
    return recorded
