"""Where stopping rules end recorded trajectories, and what is chosen there."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from nbest.plan.trajectories import Bools, Floats, Ints, Trajectories
from nbest.protocols import Stop


class Replay(NamedTuple):
    """One rule on T trajectories."""

    arrivals_T: Ints
    """Draws that are there when it stops."""
    values_T: Floats
    """Score of the choice."""
    tokens_T: Floats
    """Output tokens, of cancelled draws too."""
    started_T: Ints
    """Draws that were made, those that were cancelled included."""
    latency_T: Floats
    """Output tokens waited for, one after the other."""


def replay(stop: Stop, trajectories: Trajectories, mean_length: float | None = None) -> Replay:
    """What becomes of each trajectory if `stop` is asked after each arrival; after the last draw it ends anyway.

    The choice is the majority's, or the draw with the best score for a rule that has a scorer. `mean_length` is as in
    `Features`.
    """
    at_T = stop_places(stop, trajectories, mean_length)
    return replayed_at(at_T, trajectories, by_score=getattr(stop, "scorer", None) is not None)


def replayed_at(at_T: Ints, trajectories: Trajectories, *, by_score: bool = False) -> Replay:
    """What becomes of trajectories that end at these places, counted from 0."""
    values_TK = trajectories.votes.value_TK
    if by_score:
        values_TK = best_values(trajectories)
    rows = np.arange(at_T.size)
    return Replay(
        arrivals_T=at_T + 1,
        values_T=values_TK[rows, at_T].astype(np.float64),
        tokens_T=trajectories.tokens[rows, at_T],
        started_T=trajectories.num_started[at_T],
        latency_T=trajectories.latency[rows, at_T],
    )


def stop_places(stop: Stop, trajectories: Trajectories, mean_length: float | None = None) -> Ints:
    """The place, from 0, at which the rule stops each trajectory; the last one where it never does.

    A rule with a method `stops_on(trajectories, mean_length)`, which gives T×K booleans, is asked for all at once; one
    that reads the votes alone once for equal votes; any other one state at a time.
    """
    at_once: Any = getattr(stop, "stops_on", None)
    if at_once is not None:
        return _first_true(cast("Bools", at_once(trajectories, mean_length)))
    if getattr(stop, "reads_counts_only", False):
        stops_U = np.array([stop(features) for features in trajectories.votes.each()], dtype=np.bool_)
        return _first_true(stops_U[trajectories.votes.at_TK])

    places = [_place(stop, trajectories, t, mean_length) for t in range(trajectories.prompts_T.size)]
    return np.array(places, dtype=np.int64)


def best_values(trajectories: Trajectories) -> NDArray[np.float32]:
    """Score of the choice after each draw, by the best score of the rule's scorer so far; of equal ones the first.

    Draws without a score are chosen only where no draw has one. Raises `ValueError` without scores.
    """
    if trajectories.scores_TK is None:
        raise ValueError("the trajectories hold no scores of the rule's scorer")
    scores_TK = np.nan_to_num(trajectories.scores_TK, nan=-np.inf)
    best_T, value_T = scores_TK[:, 0].copy(), trajectories.values_TK[:, 0].copy()
    values_TK = np.empty_like(trajectories.values_TK)
    for k in range(scores_TK.shape[1]):
        is_better_T = scores_TK[:, k] > best_T
        best_T[is_better_T] = scores_TK[is_better_T, k]
        value_T[is_better_T] = trajectories.values_TK[is_better_T, k]
        values_TK[:, k] = value_T
    return values_TK


def _first_true(stops_TK: Bools) -> Ints:
    stops_TK = stops_TK.copy()
    stops_TK[:, -1] = True
    return stops_TK.argmax(axis=1)


def _place(stop: Stop, trajectories: Trajectories, t: int, mean_length: float | None) -> int:
    last = trajectories.num_draws - 1
    return next((k for k in range(last) if stop(trajectories.features(t, k + 1, mean_length))), last)
