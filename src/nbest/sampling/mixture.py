"""A pool drawn from several engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from nbest.protocols import EngineName, Sampler
from nbest.sampling.engine_shares import dealt
from nbest.sampling.hedged import Hedged
from nbest.sampling.spread import draws, merged, resized, size
from nbest.types import Prompt, Request, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Any sampler's plan, its draws dealt to several engines in turn (multi-model N-best).

    Draw i goes to engine i mod E, so a larger pool begins with the smaller ones and a budget cuts all
    engines alike; of `hedged`, the greedy draw is the first engine's. An engine named twice draws twice
    as often. With `weights`, each engine makes that share of the draws, the next one being of the engine that is furthest behind:
    `nbest fit mixture` finds weights for a vote (Best-of-∞, arXiv 2509.21091). The names are those of the session's engines; `Context` raises
    `CapabilityError` for one that it does not know.
    """

    is_open_to_clients: ClassVar[bool] = False

    sampler: Sampler = field(default_factory=Hedged)
    engines: tuple[EngineName, ...]
    weights: tuple[float, ...] | None = None
    """Relative share of the draws of each engine; equal without it."""
    n: int | None = None
    """Size of the pool; the sampler's own without it."""

    def __post_init__(self) -> None:
        if not self.engines:
            raise ValueError("engines must name at least one engine, such as  engines=[policy, b]")
        if self.weights is not None:
            if len(self.weights) != len(self.engines):
                raise ValueError(
                    f"weights must be one for each of the {len(self.engines)} engines, got {len(self.weights)}"
                )
            dealt(self.weights, 0)
        if self.n is None:
            object.__setattr__(self, "n", size(self.sampler))
        object.__setattr__(self, "sampler", resized(self.sampler, size(self)))

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        plan = list(draws(self.sampler(prompt, rng)))
        turns = [i % len(self.engines) for i in range(len(plan))]
        if self.weights is not None:
            turns = dealt(self.weights, len(plan))
        return merged(replace(r, engine=self.engines[e]) for r, e in zip(plan, turns, strict=True))
