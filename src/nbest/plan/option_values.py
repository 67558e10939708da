"""What each strategy that a plan may choose is worth on each prompt, and what it costs.

Dimensions: T trajectories (orders of the draws of prompts), O options, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nbest.plan.stop_replay import Replay, best_values
from nbest.plan.trajectories import Bools, Floats, Ints, Trajectories


@dataclass(frozen=True, kw_only=True)
class OptionTable:
    """Strategies on the same prompts, each after the same pilot."""

    specs: tuple[str, ...]
    values_TO: Floats
    """Score of the choice."""
    tokens_TO: Floats
    """Tokens that were computed, the pilot's included."""
    answers_TO: Floats
    """The same in mean answers to the same prompt: n draws cost n, however long the prompt's answers are."""
    features_TF: Floats
    """Of the pilot's draws (`nbest.plan.difficulty.WEIGHT_NAMES`)."""
    score_T: Floats
    """Mean score of the draws behind the pilot's: what difficulty is fitted to."""
    oracle_T: Floats
    """Mean score of draws that neither pilot nor options use: the oracle's difficulty."""
    prompts_T: Ints
    """Number of the prompt, from 0."""
    clusters_T: Ints
    """Number of what the prompt stands together with, from 0."""
    languages_T: tuple[str | None, ...]
    tasks_T: tuple[str | None, ...]

    def select(self, rows: Bools) -> OptionTable:
        """Some of the trajectories."""
        places = np.flatnonzero(rows)
        return replace(
            self,
            values_TO=self.values_TO[rows],
            tokens_TO=self.tokens_TO[rows],
            answers_TO=self.answers_TO[rows],
            features_TF=self.features_TF[rows],
            score_T=self.score_T[rows],
            oracle_T=self.oracle_T[rows],
            prompts_T=self.prompts_T[rows],
            clusters_T=self.clusters_T[rows],
            languages_T=tuple(self.languages_T[t] for t in places),
            tasks_T=tuple(self.tasks_T[t] for t in places),
        )


def values_of_vote(trajectories: Trajectories, sizes: Sequence[int]) -> Floats:
    """Score of the majority's choice of the first n draws, for each n; T×S."""
    return trajectories.votes.value_TK[:, [n - 1 for n in sizes]].astype(np.float64)


def values_of_best(trajectories: Trajectories, sizes: Sequence[int]) -> Floats:
    """Score of the draw with the best score of the first n (best-of-N); T×S. Raises `ValueError` without scores."""
    return best_values(trajectories)[:, [n - 1 for n in sizes]].astype(np.float64)


def values_of_weighted_vote(trajectories: Trajectories, sizes: Sequence[int]) -> Floats:
    """Score of the choice of `vote(weight=…)` of the first n draws (best-of-N weighted); T×S.

    As in `nbest.selection.vote`: a draw without a score weighs the least one of the pool; with a score below 0 all
    are logarithms; scores that are all 0 weigh 1. Failed draws do not vote. The choice has the score of its class's best
    scored draw. Raises `ValueError` without scores.
    """
    if trajectories.scores_TK is None:
        raise ValueError("the trajectories hold no scores to weigh votes by")
    return np.column_stack([_weighted(trajectories, n) for n in sizes])


def _weighted(trajectories: Trajectories, n: int) -> Floats:
    assert trajectories.scores_TK is not None
    classes_TN = trajectories.classes_TK[:, :n].astype(np.int64)
    values_TN = trajectories.values_TK[:, :n].astype(np.float64)
    scores_TN = trajectories.scores_TK[:, :n].astype(np.float64)
    is_known_TN = ~np.isnan(scores_TN)
    least_T = np.where(is_known_TN, scores_TN, np.inf).min(axis=1)
    least_T = np.where(np.isfinite(least_T), least_T, 0.0)
    scores_TN = np.where(is_known_TN, scores_TN, least_T[:, None])
    weights_TN = _weights(scores_TN)

    num_classes = int(classes_TN.max(initial=0)) + 1
    rows: Ints = np.arange(classes_TN.shape[0], dtype=np.int64)
    totals_TC = np.zeros((rows.size, num_classes))
    is_there_TC = np.zeros(totals_TC.shape, dtype=np.bool_)
    for k in range(n):
        has_answer_T = classes_TN[:, k] >= 0
        places = rows[has_answer_T], classes_TN[has_answer_T, k]
        totals_TC[places] += weights_TN[has_answer_T, k]
        is_there_TC[places] = True

    winner_T = np.where(is_there_TC, totals_TC, -np.inf).argmax(axis=1)
    is_of_winner_TN = classes_TN == winner_T[:, None]
    has_class_T = is_of_winner_TN.any(axis=1)
    eligible_TN = is_of_winner_TN | ~has_class_T[:, None]
    chosen_T = np.where(eligible_TN, scores_TN, -np.inf).argmax(axis=1)
    return values_TN[rows, chosen_T]


def _weights(scores_TN: Floats) -> Floats:
    """What each draw weighs (`nbest.selection.vote.Vote`)."""
    least_T, most_T = scores_TN.min(axis=1, keepdims=True), scores_TN.max(axis=1, keepdims=True)
    are_plain_T = (least_T >= 0) & (most_T > 0)
    return np.where(are_plain_T, scores_TN, np.exp(scores_TN - most_T))


def after_pilot(found: Replay, trajectories: Trajectories, num_pilot: int) -> tuple[Floats, Floats]:
    """Values and output tokens of a stopping rule that is asked after the pilot's draws at the earliest."""
    at_T = np.maximum(found.arrivals_T - 1, num_pilot - 1)
    rows = np.arange(at_T.size)
    values_T = trajectories.votes.value_TK[rows, at_T].astype(np.float64)
    return values_T, trajectories.tokens[rows, at_T]
