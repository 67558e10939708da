"""A greedy draw and stochastic ones: diversity with a floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from nbest.sampling.draws import Draws, new_seed
from nbest.types import Prompt, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedged(Draws):
    """1 greedy completion and N−1 stochastic ones with min-p (Khairi et al. 2025, arXiv 2506.20544)."""

    is_open_to_clients: ClassVar[bool] = True

    temperature: float = 0.7
    """Of the stochastic draws."""
    min_p: float = 0.1

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        tuned = self.tuned(prompt)
        greedy = tuned.request(prompt, n=1, temperature=0.0, seed=None)
        if tuned.n == 1:
            return [greedy]

        stochastic = tuned.request(prompt, n=tuned.n - 1, temperature=tuned.temperature, seed=new_seed(rng))
        return [greedy, stochastic]
