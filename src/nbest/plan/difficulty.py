"""How hard a prompt is for a model, predicted from the first draws of it.

Dimensions: T trajectories (orders of the draws of prompts), F features, B bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Final, cast

import numpy as np

from nbest.plan.features import Features
from nbest.plan.trajectories import Bools, Floats, Ints, Trajectories
from nbest.text.language_tags import closest_tag
from nbest.types import Value

WEIGHT_NAMES: Final = (
    "agreement",
    "entropy",
    "distinct",
    "blank_share",
    "relative_length",
    "mean_score",
    "top_score",
)
"""What the pilot's draws tell (`nbest.plan.features`); the scores are those of the plan's scorer."""
_RIDGE: Final = 1e-3
"""Penalty on the weights of standardised features, as a share of the number of trajectories."""


class Difficulty(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Predicts the expected score of one draw (pass@1 where answers are right or wrong), and bins it.

    Bins are numbered from 1, the easiest: bin b holds predictions from `edges[b − 1]` up, below `edges[b − 2]`.
    """

    edges: tuple[float, ...]
    """Descending; one fewer than there are bins."""
    shares: tuple[float, ...] = ()
    """Of the prompts that the plan was fitted on, in each bin."""
    intercept: float = 0.0
    weights: Mapping[str, float] = {}
    """By feature (`WEIGHT_NAMES`)."""
    languages: Mapping[str, float] = {}
    """What is added for a prompt's language; others add nothing."""
    tasks: Mapping[str, float] = {}

    @property
    def num_bins(self) -> int:
        return len(self.edges) + 1

    def predicted(self, features: Features) -> float:
        """Expected score of one draw of the prompt that the pilot's draws are of."""
        number_by_name = numbers_of(features)
        language = closest_tag(features.language, self.languages)
        of_language = self.languages.get(language or "", 0.0)
        of_task = self.tasks.get(features.task or "", 0.0)
        products = [weight * number_by_name[name] for name, weight in self.weights.items()]
        return fsum([self.intercept, of_language, of_task, *products])

    def bin_of(self, predicted: float) -> int:
        """From 1, the easiest."""
        return 1 + sum(predicted < edge for edge in self.edges)

    def bins(self, predicted_T: Floats) -> Ints:
        """`bin_of` of many."""
        edges = np.array(self.edges)
        return 1 + (predicted_T[:, None] < edges[None, :]).sum(axis=1)

    def all_predicted(
        self, features_TF: Floats, languages_T: Sequence[str | None], tasks_T: Sequence[str | None]
    ) -> Floats:
        """`predicted` of many; columns are those of `WEIGHT_NAMES`."""
        weights_F = np.array([self.weights.get(name, 0.0) for name in WEIGHT_NAMES])
        predicted_T = self.intercept + features_TF @ weights_F
        predicted_T += _of_languages(languages_T, self.languages)
        predicted_T += _of_tasks(tasks_T, self.tasks)
        return predicted_T


def numbers_of(features: Features) -> Mapping[str, float]:
    """The numbers of `WEIGHT_NAMES`; 0 for a score that is not known."""
    numbers = features.numbers
    return {
        "agreement": features.agreement,
        "entropy": features.entropy,
        "distinct": float(features.distinct),
        "blank_share": features.num_blank / max(1, features.n),
        "relative_length": features.relative_length,
        "mean_score": numbers["mean_score"] or 0.0,
        "top_score": numbers["top_score"] or 0.0,
    }


def pilot_features(trajectories: Trajectories, num_pilot: int, mean_length: float) -> Floats:
    """`numbers_of` the first `num_pilot` draws of each trajectory, T×F."""
    votes_T = trajectories.votes.at_TK[:, num_pilot - 1]
    counts_TC = trajectories.votes.counts_UC[votes_T].astype(np.float64)
    total_T = np.maximum(1.0, counts_TC.sum(axis=1))
    shares_TC = counts_TC / total_T[:, None]
    logs_TC = np.log(np.where(shares_TC > 0, shares_TC, 1.0))
    lengths_TK = trajectories.lengths_TK[:, :num_pilot].astype(np.float64)

    mean_score_T, top_score_T = np.zeros(total_T.size), np.zeros(total_T.size)
    if trajectories.scores_TK is not None:
        scores_TK = trajectories.scores_TK[:, :num_pilot].astype(np.float64)
        is_known_TK = ~np.isnan(scores_TK)
        num_known_T = is_known_TK.sum(axis=1)
        sums_T = np.where(is_known_TK, scores_TK, 0.0).sum(axis=1)
        mean_score_T = sums_T / np.maximum(1, num_known_T)
        highest_T = np.where(is_known_TK, scores_TK, -np.inf).max(axis=1)
        top_score_T = np.where(num_known_T > 0, highest_T, 0.0)

    return np.column_stack(
        [
            counts_TC.max(axis=1, initial=0.0) / num_pilot,
            -(shares_TC * logs_TC).sum(axis=1),
            (counts_TC > 0).sum(axis=1),
            1.0 - counts_TC.sum(axis=1) / num_pilot,
            lengths_TK.mean(axis=1) / mean_length,
            mean_score_T,
            top_score_T,
        ]
    )


def fit_difficulty(
    features_TF: Floats,
    score_T: Floats,
    *,
    languages_T: Sequence[str | None],
    tasks_T: Sequence[str | None],
    num_bins: int,
    prior: float,
) -> Difficulty:
    """Ridge regression of `score_T`, the mean score of draws that are not the pilot's, on the pilot's features.

    A language or task adds its mean residual, which counts as 0 for `prior` trajectories more than there are. Edges are
    quantiles of the predictions; equal ones are one, so that there may be fewer bins than asked for.
    """
    mean_F, deviation_F = features_TF.mean(axis=0), features_TF.std(axis=0)
    is_constant_F = deviation_F < 1e-9  # noqa: PLR2004
    scaled_TF = (features_TF - mean_F) / np.where(is_constant_F, 1.0, deviation_F)
    centred_T = score_T - score_T.mean()
    gram = scaled_TF.T @ scaled_TF + _RIDGE * score_T.size * np.eye(mean_F.size)
    scaled_F = cast("Floats", np.linalg.solve(gram, scaled_TF.T @ centred_T))
    weights_F = np.where(is_constant_F, 0.0, scaled_F / np.where(is_constant_F, 1.0, deviation_F))
    intercept = float(score_T.mean() - mean_F @ weights_F)

    residual_T = score_T - intercept - features_TF @ weights_F
    languages = _mean_by_name(residual_T, languages_T, prior)
    residual_T = residual_T - _of_languages(languages_T, languages)
    tasks = _mean_by_name(residual_T, tasks_T, prior)

    fitted = Difficulty(
        edges=(),
        intercept=_rounded(intercept),
        weights={
            name: _rounded(float(weight))
            for name, weight in zip(WEIGHT_NAMES, weights_F, strict=True)
            if weight
        },
        languages=languages,
        tasks=tasks,
    )
    predicted_T = fitted.all_predicted(features_TF, languages_T, tasks_T)
    edges = edges_of(predicted_T, num_bins)
    bins_T = 1 + (predicted_T[:, None] < np.array(edges)[None, :]).sum(axis=1)
    shares = np.bincount(bins_T, minlength=len(edges) + 2)[1:] / bins_T.size
    return Difficulty(
        edges=edges,
        shares=tuple(_rounded(float(share)) for share in shares),
        intercept=fitted.intercept,
        weights=fitted.weights,
        languages=languages,
        tasks=tasks,
    )


def edges_of(values_T: Floats, num_bins: int) -> tuple[float, ...]:
    """Descending edges of quantile bins of which none is empty."""
    quantiles = np.quantile(values_T, np.linspace(0, 1, num_bins + 1)[1:-1])
    rounded = sorted({_rounded(float(value)) for value in quantiles}, reverse=True)
    kept: list[float] = []
    for edge in rounded:
        is_below: Bools = values_T < edge
        is_new = not kept or bool((~is_below & (values_T < kept[-1])).any())
        if is_new and is_below.any() and not is_below.all():
            kept.append(edge)
    return tuple(kept)


def confusion(predicted_T: Ints, oracle_T: Ints, num_bins: int) -> Floats:
    """Share of the trajectories in each pair of a predicted bin (rows) and an oracle bin (columns)."""
    places_T = (predicted_T - 1) * num_bins + (oracle_T - 1)
    counts = np.bincount(places_T, minlength=num_bins * num_bins).reshape(num_bins, num_bins)
    return counts / max(1, predicted_T.size)


def _of_languages(names_T: Sequence[str | None], effect_by_name: Mapping[str, float]) -> Floats:
    effects: dict[str | None, float] = {}
    for name in set(names_T):
        known = closest_tag(name, effect_by_name)
        effects[name] = effect_by_name.get(known or "", 0.0)
    return np.array([effects[name] for name in names_T])


def _of_tasks(names_T: Sequence[str | None], effect_by_name: Mapping[str, float]) -> Floats:
    return np.array([effect_by_name.get(name or "", 0.0) for name in names_T])


def _mean_by_name(residual_T: Floats, names_T: Sequence[str | None], prior: float) -> dict[str, float]:
    """Empty where there is only one name, whose mean the intercept holds."""
    named = sorted({name for name in names_T if name is not None})
    if len(set(names_T)) < 2:  # noqa: PLR2004
        return {}
    all_names = np.array([name or "" for name in names_T])
    means: dict[str, float] = {}
    for name in named:
        is_named_T = all_names == name
        means[name] = _rounded(float(residual_T[is_named_T].sum() / (is_named_T.sum() + prior)))
    return means


def _rounded(value: float) -> float:
    """Six significant digits: what the file holds is what is used."""
    return float(f"{value:.6g}")
