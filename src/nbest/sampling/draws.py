"""What every sampler of a pool has in common: the pool's size, and how one of its texts is drawn."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from random import Random
from typing import Self

from nbest.demand import Demand, answers
from nbest.errors import InputError
from nbest.protocols import FreeText, ServerPath
from nbest.sampling.sampler_table import parameters_for
from nbest.types import Prompt, Request, SamplingParams, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """The parameters that all samplers share. Raises `ValueError` for values out of range."""

    n: int = 5
    """Size of the pool."""
    min_p: float = 0.0
    """Keep tokens with p ≥ min_p · max p (Nguyen et al. 2024, arXiv 2407.01082)."""
    top_p: float = 1.0
    """Keep the likeliest tokens whose probabilities sum to top_p."""
    max_tokens: int = 1024
    """Of each draw, at most."""
    stop: tuple[FreeText, ...] = ()
    """Strings that end a draw; they are no part of its text."""
    table: ServerPath | None = None
    """TOML file of parameters by language and task: rows `[[params]]` with `language`, `task` (both
    optional) and any parameter of the sampler; the row that names most of the two wins."""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")
        for name in ("temperature", "low", "high"):
            SamplingParams(temperature=getattr(self, name, 0.0))
        SamplingParams(top_p=self.top_p, min_p=self.min_p, max_tokens=self.max_tokens)

    def demand(self, n: int, steps: int) -> Demand:
        return answers(self.n, self.max_tokens)

    def tuned(self, prompt: Prompt) -> Self:
        """This sampler with the table's parameters for the prompt's language and task.

        Raises `InputError` for a table that is missing, malformed or names an unknown parameter.
        """
        if self.table is None:
            return self

        changes = parameters_for(prompt, self.table)
        known = {f.name for f in dataclasses.fields(self)} - {"table"}
        unknown = changes.keys() - known
        if unknown:
            raise InputError(
                f"{self.table}: {', '.join(sorted(unknown))} is no parameter of"
                f" {type(self).__name__.lower()}; known: {', '.join(sorted(known))}"
            )

        try:
            return dataclasses.replace(self, **changes)
        except (TypeError, ValueError) as e:
            raise InputError(f"{self.table}: {e}") from None

    def request(self, prompt: Prompt, *, n: int, temperature: float, seed: int | None) -> Request:
        """`n` draws at one temperature. A greedy draw (temperature 0) takes neither top_p nor min_p."""
        params = SamplingParams(
            temperature=temperature, max_tokens=self.max_tokens, stop=self.stop, seed=seed
        )
        if temperature > 0:
            params = replace(params, top_p=self.top_p, min_p=self.min_p)
        return Request(prompt=prompt, n=n, params=params)


def new_seed(rng: Random) -> int:
    """Draw i of a request takes this seed + i."""
    return rng.getrandbits(31)
