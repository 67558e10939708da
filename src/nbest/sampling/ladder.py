"""Draws at several temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from nbest.sampling.draws import Draws, new_seed
from nbest.types import Prompt, Request, SamplingParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder(Draws):
    """N completions, temperatures spread evenly over [low, high], or an explicit list.

    Khairi et al. 2025, arXiv 2506.20544 (multi-temperature sampling). One draw is drawn at `low`.
    """

    is_open_to_clients: ClassVar[bool] = True

    low: float = 0.3
    high: float = 1.0
    temperatures: tuple[float, ...] = ()
    """Taken in turn instead of the even spread."""

    def __post_init__(self) -> None:
        Draws.__post_init__(self)
        for temperature in self.temperatures:
            SamplingParams(temperature=temperature)

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        tuned = self.tuned(prompt)
        seed = new_seed(rng)
        rungs = tuned.temperatures or tuned.even_spread()
        return [
            tuned.request(prompt, n=1, temperature=rungs[i % len(rungs)], seed=seed + i)
            for i in range(tuned.n)
        ]

    def even_spread(self) -> list[float]:
        num_gaps = max(1, self.n - 1)
        return [self.low + (self.high - self.low) * i / num_gaps for i in range(self.n)]
