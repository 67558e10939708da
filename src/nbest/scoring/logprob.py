"""How likely a candidate is under the model that drew it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.scoring.recorded_logprobs import logprobs_of
from nbest.types import Candidate, Logprobs, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Logprob:
    """Log-probability of the candidate under the model that drew it, by default the mean per token.

    A candidate of no tokens has no score. Raises `CapabilityError` where no candidate has any.
    """

    is_open_to_clients: ClassVar[bool] = True

    normalise: Literal["length", "none"] = "length"
    logprobs_needed: ClassVar[int] = 0

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        recorded = logprobs_of(prompt, candidates)
        return [Score(value=self._value(lp) if lp else None) for lp in recorded]

    def _value(self, logprobs: Logprobs) -> float | None:
        if not logprobs.values:
            return None
        total = fsum(logprobs.values)
        if self.normalise == "length":
            return total / len(logprobs.values)
        return total
