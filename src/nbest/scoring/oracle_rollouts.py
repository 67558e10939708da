"""The labels that a process reward model is trained on, as a verifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbest.context import Context
from nbest.demand import Demand, others
from nbest.protocols import EngineName
from nbest.scoring.gold_answer import gold_of, truths
from nbest.scoring.recorded_logprobs import mean
from nbest.scoring.rollouts import Rollouts, is_partial
from nbest.types import Candidate, Prompt, Score, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleRollouts:
    """The label that process reward models are trained on: the share of `k` completions that end right.

    The soft label of Math-Shepherd (Wang et al. 2023, arXiv 2312.08935, §3.3), for beginnings; 1 or 0 for
    finished candidates. It needs an `answer` in the prompt's row and an engine that continues a text, and
    raises `CapabilityError` without. An upper bound up to the noise of k draws, never a method. Metered as
    the verifier's; a beginning whose completions all fail has no value.
    """

    is_open_to_clients: ClassVar[bool] = False

    k: int = 8
    engine: EngineName | None = None
    """Name of the engine that completes; without one the engine called "verifier", else the policy."""
    temperature: float = 0.7
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        self._rollouts()

    def demand(self, n: int, steps: int) -> Demand:
        return others(n * self.k, self.max_tokens)

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        gold_of(prompt, ctx)  # raises before anything is spent
        beginnings = [c.text for c in candidates if is_partial(c) and c.is_usable]
        rolled = await self._rollouts().roll(prompt, beginnings, ctx)

        ends = [_ends(candidate, rolled) for candidate in candidates]
        rights = iter(await truths(prompt, [end for of_one in ends for end in of_one], ctx))
        return [_share([next(rights) for _ in of_one]) for of_one in ends]

    def _rollouts(self) -> Rollouts:
        return Rollouts(
            k=self.k, engine=self.engine, temperature=self.temperature, max_tokens=self.max_tokens
        )


def _share(rights: Sequence[float | None]) -> Score:
    """The share of ends that are right; no value where none is known to be right or wrong."""
    return Score(value=mean([right for right in rights if right is not None]))


def _ends(candidate: Candidate, rolled: Mapping[str, Sequence[str]]) -> list[Candidate]:
    """The finished answers that a candidate stands for: itself, or what a beginning was completed to."""
    if not candidate.is_usable:
        return []
    if not is_partial(candidate):
        return [candidate]
    return [replace(candidate, text=text) for text in rolled.get(candidate.text, ())]
