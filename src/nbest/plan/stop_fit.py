"""Fitting a stopping rule to recorded pools: optimal stopping by backward induction, over few weights.

A regression of each step's value of going on, tree by tree and step by step, loses to published rules where many draws
are allowed: its errors add up over steps. So one set of weights holds for all steps and all λ, the numbers that it weighs
are the published rules' own posteriors, and the fit stays near a rule of thumb that needs no data.

Dimensions: T trajectories, K draws, F numbers, P prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy import optimize  # pyright: ignore[reportMissingTypeStubs]

from nbest.plan.stop_policy import VOTE_NUMBERS, WEIGHT_NAMES, StopPolicy, log_length, vote_numbers
from nbest.plan.trajectories import Floats, Trajectories

Floats32 = NDArray[np.float32]

LAMBDAS: Final = (0.03, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002)
"""Weights are fitted for all of these together."""
RULE_OF_THUMB: Final = {"log_regret": 1.0, "log_draws": -1.0, "log_length": -1.0}
_PENALTY: Final = 3e-3
"""On squared distances from the rule of thumb, in units of the score."""
_SOFTNESS: Final = (0.7, 0.35)
"""Of the decision while fitting, in units of log λ: first smooth, then sharper."""
_ITERATIONS: Final = 40
_FEWEST: Final = 20
"""Prompts that a task or language needs for a number of its own."""
_optimize = cast("Any", optimize)


class _Groups(NamedTuple):
    """Tasks and languages of prompts, with a number of their own where there are several and each has enough."""

    tasks: tuple[str, ...]
    languages: tuple[str, ...]
    members_PG: NDArray[np.bool_]
    """Whether a prompt is of each task, then of each language."""


def fit_policy(trajectories: Trajectories, *, lambdas: Sequence[float] = LAMBDAS) -> StopPolicy:
    """The weights with the highest mean of score − λ · tokens over the trajectories, summed over `lambdas`.

    Lengths are in mean answers. While fitting, going on at step k has the probability 1 − s_k with a smooth
    s_k = σ((log λ − Σ w·x) / softness), and the value of a trajectory is found backwards,
    W_k = s_k · U_k + (1 − s_k) · W_{k+1} with U_k = score of the choice after k draws − λ · tokens, as in backward
    induction (Longstaff & Schwartz 2001); its gradient by the weights is s_k's share of reaching k times U_k − W_{k+1}.
    """
    groups = _groups(trajectories)
    data = _Data.of(trajectories, groups)
    start = np.array([RULE_OF_THUMB.get(name, 0.0) for name in WEIGHT_NAMES])
    prior_F = np.concatenate([start, np.zeros(data.numbers_KTF.shape[2] - start.size)])
    weights_F = prior_F
    for softness in _SOFTNESS:
        found = _optimize.minimize(
            _loss,
            weights_F,
            args=(data, tuple(lambdas), prior_F, softness),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _ITERATIONS},
        )
        weights_F = cast("Floats", found.x)

    values = [float(weight) for weight in weights_F]
    num_own, num_tasks = len(WEIGHT_NAMES), len(groups.tasks)
    return StopPolicy(
        weights=dict(zip(WEIGHT_NAMES, values[:num_own], strict=True)),
        tasks=dict(zip(groups.tasks, values[num_own : num_own + num_tasks], strict=True)),
        languages=dict(zip(groups.languages, values[num_own + num_tasks :], strict=True)),
        num_draws=trajectories.num_draws,
    )


@dataclass(frozen=True)
class _Data:
    """Steps first, so that a step of all trajectories lies together."""

    numbers_KTF: Floats32
    values_KT: Floats32
    tokens_KT: Floats32

    @classmethod
    def of(cls, trajectories: Trajectories, groups: _Groups) -> _Data:
        votes = trajectories.votes
        of_votes_UF = vote_numbers(votes.counts_UC, votes.num_draws_U).astype(np.float32)
        draws_K = np.arange(1, trajectories.num_draws + 1, dtype=np.int64)
        length_TK = log_length(trajectories.tokens, draws_K)
        member_TG = groups.members_PG[trajectories.prompts_T].astype(np.float32)

        num, width = votes.at_TK.shape
        num_vote = len(VOTE_NUMBERS)
        numbers_KTF = np.empty((width, num, num_vote + 1 + member_TG.shape[1]), dtype=np.float32)
        numbers_KTF[:, :, :num_vote] = of_votes_UF[votes.at_TK.T]
        numbers_KTF[:, :, num_vote] = length_TK.T
        numbers_KTF[:, :, num_vote + 1 :] = member_TG
        return cls(
            numbers_KTF=numbers_KTF[:-1],
            values_KT=np.ascontiguousarray(votes.value_TK.T),
            tokens_KT=np.ascontiguousarray(trajectories.tokens.T.astype(np.float32)),
        )


def _groups(trajectories: Trajectories) -> _Groups:
    tasks_P, languages_P = trajectories.tasks_P, trajectories.languages_P
    own_tasks, own_languages = _frequent(tasks_P), _frequent(languages_P)
    columns = [[task == name for task in tasks_P] for name in own_tasks]
    columns += [[language == name for language in languages_P] for name in own_languages]
    num_prompts = int(trajectories.prompts_T.max(initial=-1)) + 1
    members_PG = np.zeros((num_prompts, len(columns)), dtype=np.bool_)
    for g, column in enumerate(columns):
        members_PG[:, g] = column[:num_prompts]
    return _Groups(own_tasks, own_languages, members_PG)


def _loss(
    weights_F: Floats, data: _Data, lambdas: Sequence[float], prior_F: Floats, softness: float
) -> tuple[float, Floats]:
    """The negative value, and its gradient."""
    going_on_KT = data.numbers_KTF @ weights_F.astype(np.float32)
    total, gradient_F = 0.0, np.zeros(weights_F.size)
    for lam in lambdas:
        value, slope_KT = _value(going_on_KT, data, lam, softness)
        # Without a factor, λ that allow many draws would hardly count: less is won there.
        factor = (lam / 0.001) ** -0.25
        total += factor * value
        gradient_F += factor * np.tensordot(slope_KT, data.numbers_KTF, axes=2) / slope_KT.shape[1]
    distance_F = weights_F - prior_F
    total -= _PENALTY * float(distance_F @ distance_F)
    return -total, -(gradient_F - 2 * _PENALTY * distance_F)


def _value(going_on_KT: Floats32, data: _Data, lam: float, softness: float) -> tuple[float, Floats32]:
    """Mean value of the trajectories at one λ, and its slope by each step's number."""
    z_KT = np.clip((going_on_KT - np.float32(np.log(lam))) / np.float32(softness), -30, 30)
    stops_KT = 1 / (1 + np.exp(z_KT))
    stopped_KT = data.values_KT - np.float32(lam) * data.tokens_KT
    ahead_T = stopped_KT[-1]
    gain_KT = np.empty_like(stops_KT)
    for k in range(stops_KT.shape[0] - 1, -1, -1):
        gain_KT[k] = stopped_KT[k] - ahead_T
        ahead_T = ahead_T + stops_KT[k] * gain_KT[k]

    reached_KT = np.ones_like(stops_KT)
    np.cumprod(1 - stops_KT[:-1], axis=0, out=reached_KT[1:])
    slope_KT = reached_KT * gain_KT * stops_KT * (1 - stops_KT) / -softness
    return float(ahead_T.mean(dtype=np.float64)), slope_KT.astype(np.float32)


def _frequent(names: Sequence[str | None]) -> tuple[str, ...]:
    """Names of at least so many prompts, where they are not those of all."""
    known = [name for name in names if name is not None]
    frequent = sorted(name for name in set(known) if known.count(name) >= _FEWEST)
    if len(frequent) == 1 and known.count(frequent[0]) == len(names):
        return ()
    return tuple(frequent)
