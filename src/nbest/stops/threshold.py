"""Draw until a score is good enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nbest.plan.features import Features
from nbest.protocols import Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Stops at the first draw that scores at least `tau`; best(scorer) is the selector that goes with it.

    Draws without a score count for nothing. After the sampler's n draws it ends anyway.
    """

    is_open_to_clients: ClassVar[bool] = True

    scorer: Scorer
    tau: float = 0.9

    def __call__(self, features: Features) -> bool:
        return any(score is not None and score >= self.tau for score in features.scores)
