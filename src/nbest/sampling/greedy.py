"""The draw that a user gets without this library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from nbest.sampling.draws import Draws
from nbest.types import Prompt, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Greedy(Draws):
    """One completion at temperature 0. Raises `ValueError` for any other n than 1: all would be the same text."""

    is_open_to_clients: ClassVar[bool] = True

    n: int = 1

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        return [self.tuned(prompt).request(prompt, n=1, temperature=0.0, seed=None)]

    def __post_init__(self) -> None:
        Draws.__post_init__(self)
        if self.n != 1:
            raise ValueError(f"greedy draws the same text every time, so n must be 1, got {self.n}")
