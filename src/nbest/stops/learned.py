"""A stopping rule that was fitted to recorded pools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nbest.plan.features import Features
from nbest.plan.stop_file import read_stop
from nbest.plan.trajectories import Bools, Trajectories
from nbest.protocols import ServerPath
from nbest.stops.bayes_factor import BayesFactor


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Stops where one more draw is not expected to gain what its tokens cost: fitted by `nbest fit stop`.

    Optimal stopping by backward induction on recorded pools, over few weights (`nbest.plan.stop_policy`). It gives up on
    prompts on which nothing is to be won, and draws long answers less often. Beyond the number of draws that it was
    fitted for, and at a λ at which it was worse on held-out prompts, `bayes_factor` decides; tasks and languages that it has not seen add nothing. Raises `InputError` for a
    file that is missing or malformed.
    """

    is_open_to_clients: ClassVar[bool] = False

    file: ServerPath
    lam: float | None = None
    """What one mean answer must gain, in units of the score; None: as the file says."""

    def __post_init__(self) -> None:
        if self.lam is not None and self.lam <= 0:
            raise ValueError(f"lam must be above 0, got {self.lam:g}")

    def __call__(self, features: Features) -> bool:
        fitted = read_stop(self.file)
        lam = self.lam or fitted.lam
        b = fitted.b_at(lam)
        if features.n > fitted.num_draws:
            b = b or fitted.b
        if b is not None:
            return BayesFactor(b=b)(features)
        return not fitted.policy.goes_on(features, lam)

    def stops_on(self, trajectories: Trajectories, mean_length: float | None) -> Bools:
        """The rule after each draw of each trajectory."""
        fitted = read_stop(self.file)
        lam = self.lam or fitted.lam
        b = fitted.b_at(lam)
        of_rule_TK = _rule(b or fitted.b, trajectories)
        if b is not None:
            return of_rule_TK

        stops_TK = ~fitted.policy.all_going_on(trajectories, lam, mean_length)
        stops_TK[:, fitted.num_draws :] = of_rule_TK[:, fitted.num_draws :]
        return stops_TK


def _rule(b: float, trajectories: Trajectories) -> Bools:
    rule = BayesFactor(b=b)
    stops_U = np.array([rule(features) for features in trajectories.votes.each()], dtype=np.bool_)
    return stops_U[trajectories.votes.at_TK]
