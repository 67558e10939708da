"""Independent draws at one temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from nbest.sampling.draws import Draws, new_seed
from nbest.types import Prompt, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Iid(Draws):
    """N independent completions at one temperature, in one request."""

    is_open_to_clients: ClassVar[bool] = True

    temperature: float = 0.7

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        tuned = self.tuned(prompt)
        return [tuned.request(prompt, n=tuned.n, temperature=tuned.temperature, seed=new_seed(rng))]
