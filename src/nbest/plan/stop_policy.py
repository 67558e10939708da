"""A learned stopping rule: weights of what votes and lengths say."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Final

import numpy as np

from nbest.plan.features import Features
from nbest.plan.posterior import top_posterior
from nbest.plan.trajectories import Bools, Floats, Ints, Trajectories
from nbest.types import Value

ALPHA: Final = 0.3
"""Concentration of the Dirichlet process whose posterior the votes are given (`top_posterior`)."""
VOTE_NUMBERS: Final = (
    "one",
    "log_regret",
    "log_doubt",
    "log_draws",
    "top_share",
    "second_share",
    "distinct",
    "blank",
)
"""What votes give, in this order; `log_length` comes from lengths."""
WEIGHT_NAMES: Final = (*VOTE_NUMBERS, "log_length")
_LEAST: Final = 1e-9
_SHORTEST: Final = 0.02
"""In mean answers: shorter ones count as that long."""


class StopPolicy(Value, frozen=True, kw_only=True):
    """Goes on drawing where Σ weight · number > log λ: where a token still gains more than λ is.

    λ is what one mean answer of the model must gain, in units of the score. The numbers, after n draws:

    one: 1 · log_regret: log of the regret of `top_posterior`, what knowing the model's true shares would gain ·
    log_doubt: log(1 − P), P the probability that the leader is the most frequent answer · log_draws: log n ·
    top_share, second_share: of the leading answers among all draws · distinct: different answers per draw · blank: share
    of draws without an answer · log_length: log of the mean length so far in mean answers, one mean answer added to them.

    The weights 1, −1 and −1 of log_regret, log_draws and log_length alone are the rule of thumb that the fit begins
    with: stop where the regret is less than what doubling the draws costs.
    """

    weights: Mapping[str, float]
    """By name (`WEIGHT_NAMES`)."""
    tasks: Mapping[str, float] = {}
    """What is added for prompts of a task; nothing for tasks that are not named."""
    languages: Mapping[str, float] = {}
    mean_length: float = 1.0
    """Output tokens of a mean answer of the model, where whoever asks does not know better."""
    num_draws: int = 64
    """Draws up to which it was fitted."""

    def goes_on(self, features: Features, lam: float) -> bool:
        """Whether one more draw is worth its tokens. Within `num_draws` only."""
        counts = features.counts or (0,)
        numbers = vote_numbers(np.array([counts]), np.array([features.n]))[0]
        known = sum(length for length in features.lengths if length > 0)
        num_known = sum(length > 0 for length in features.lengths)
        mean_length = features.mean_length or self.mean_length
        drawn = float(features.n)
        if num_known:
            drawn = known / num_known * features.n / mean_length

        total = float(numbers @ self._vote_weights) + self._length_weight * float(
            log_length(drawn, features.n)
        )
        total += self.tasks.get(features.task or "", 0.0) + self.languages.get(features.language or "", 0.0)
        return total > log(lam)

    def all_going_on(
        self,
        trajectories: Trajectories,
        lam: float,
        mean_length: float | None,
        offsets_T: Floats | None = None,
    ) -> Bools:
        """`goes_on` after each draw of each trajectory; `offsets_T` is what tasks and languages add."""
        votes = trajectories.votes
        of_votes_U = vote_numbers(votes.counts_UC, votes.num_draws_U) @ self._vote_weights
        draws_K = np.arange(1, trajectories.num_draws + 1)
        drawn_TK = np.cumsum(trajectories.lengths_TK, axis=1, dtype=np.float64)
        length_TK = log_length(drawn_TK / (mean_length or self.mean_length), draws_K)
        total_TK = of_votes_U[votes.at_TK] + self._length_weight * length_TK
        total_TK += self._offsets(trajectories)[:, None]
        return total_TK > log(lam)

    def _offsets(self, trajectories: Trajectories) -> Floats:
        """What tasks and languages add to each trajectory."""
        added_P = np.zeros(int(trajectories.prompts_T.max(initial=-1)) + 1)
        for added, names_P in (
            (self.tasks, trajectories.tasks_P),
            (self.languages, trajectories.languages_P),
        ):
            if names_P:
                added_P += [added.get(name or "", 0.0) for name in names_P[: added_P.size]]
        return added_P[trajectories.prompts_T]

    @property
    def _vote_weights(self) -> Floats:
        return np.array([self.weights.get(name, 0.0) for name in VOTE_NUMBERS])

    @property
    def _length_weight(self) -> float:
        return self.weights.get("log_length", 0.0)


def vote_numbers(counts_UC: Ints, draws_U: Ints) -> Floats:
    """The numbers of `VOTE_NUMBERS` for each row of votes (most first, zeros behind) and its number of draws."""
    posterior = top_posterior(counts_UC, ALPHA)
    num_votes_U = counts_UC.sum(axis=1)
    has_vote_U = num_votes_U > 0
    first_U = counts_UC[:, 0]
    second_U = np.zeros_like(first_U)
    if counts_UC.shape[1] > 1:
        second_U = counts_UC[:, 1]
    columns = (
        np.ones(draws_U.size),
        np.where(has_vote_U, np.log(np.maximum(posterior.regret_U, _LEAST)), log(0.5)),
        np.where(has_vote_U, np.log(np.maximum(1.0 - posterior.is_top_U, _LEAST)), 0.0),
        np.log(draws_U),
        first_U / draws_U,
        second_U / draws_U,
        (counts_UC > 0).sum(axis=1) / draws_U,
        1.0 - num_votes_U / draws_U,
    )
    return np.stack(columns, axis=1)


def log_length(drawn: Floats | float, num_draws: Ints | int) -> Floats:
    """Log of the mean length of `num_draws` draws that are `drawn` mean answers together, one mean answer added."""
    return np.log(np.maximum((np.asarray(drawn) + 1.0) / (np.asarray(num_draws) + 1.0), _SHORTEST))
