"""Maximum likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.scoring.logprob import Logprob
from nbest.selection.best import Best
from nbest.types import Candidate, Prompt, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """The candidate that the model itself finds likeliest, by default per token."""

    is_open_to_clients: ClassVar[bool] = True

    normalise: Literal["length", "none"] = "length"
    logprobs_needed: ClassVar[int] = 0

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        return await Best(scorer=Logprob(normalise=self.normalise))(prompt, candidates, ctx)
