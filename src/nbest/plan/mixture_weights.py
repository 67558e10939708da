"""Weights of several engines' draws in one vote (Best-of-∞, arXiv 2509.21091).

Dimensions: P prompts, E engines, M draws of each, C classes of answers, D pairs of a right class and a wrong one.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from nbest.plan.trajectories import Floats, Ints

_LEAST_LEAD: Final = 1e-3
"""Share of the votes by which a right answer must lead to count as chosen."""
_RIGHT: Final = 0.5
"""Least score of a right answer."""


class MixtureFit(NamedTuple):
    """Weights, and what they do on the prompts that they were fitted on."""

    weights_E: Floats
    """Share of the draws of each engine; they sum to 1."""
    margin: float
    """Least lead of the right answer where it is chosen, as a share of the votes."""
    num_right: int
    """Prompts whose right answer has the most votes, with as many draws as one likes."""
    is_optimal: bool
    """Whether no weights are better; False where the time was over before that was shown."""


class _Leads(NamedTuple):
    """By how much each engine prefers the right answer of a prompt to one of its wrong answers."""

    prompts_D: Ints
    leads_DE: Floats


def vote_shares(classes_EM: NDArray[np.integer[Any]], num_classes: int) -> Floats:
    """Share of each class among each engine's draws, E×C; draws without an answer are in no class."""
    shares_EC = np.zeros((classes_EM.shape[0], num_classes))
    for e, classes_M in enumerate(classes_EM):
        found = classes_M[classes_M >= 0]
        shares_EC[e] = np.bincount(found, minlength=num_classes)[:num_classes] / classes_M.size
    return shares_EC


def fit_weights(
    classes_PEM: NDArray[np.integer[Any]],
    values_PEM: NDArray[np.floating[Any]],
    *,
    costs_E: Floats | None = None,
    lam: float = 0.0,
    seconds: float = 60.0,
) -> MixtureFit:
    """The weights with the most right majorities, less `lam` times the mean cost of a draw, by mixed-integer programming.

    A draw is right from a score of 0.5. Where several weights are equally good, the second program takes those with the
    greatest least lead (max-margin). Prompts that no weights can answer, or none can miss, take no part. With `lam` above 0
    a right majority is worth 1 / P, and a draw of engine e costs `lam` · `costs_E[e]`; the second program then may cost no more
    than the first. Raises `ValueError` for shapes that do not agree.
    """
    if classes_PEM.shape != values_PEM.shape:
        raise ValueError("classes and values must have the same shape")
    num_prompts, num_engines, _ = classes_PEM.shape
    prices_E = np.zeros(num_engines)
    if costs_E is not None:
        prices_E = lam * costs_E

    leads, num_always = _open_leads(classes_PEM, values_PEM)
    open_prompts, row_D = np.unique(leads.prompts_D, return_inverse=True)
    found = _most_right(leads.leads_DE, row_D, open_prompts.size, prices_E * num_prompts, seconds)
    weights_E, is_right_R, is_optimal = found
    kept_DE = leads.leads_DE[is_right_R[row_D]]
    weights_E, margin = _widest_margin(kept_DE, prices_E, weights_E)
    return MixtureFit(weights_E, margin, num_always + int(is_right_R.sum()), is_optimal)


def num_right_of(
    classes_PEM: NDArray[np.integer[Any]], values_PEM: NDArray[np.floating[Any]], weights_E: Floats
) -> int:
    """Prompts whose right answer has the most votes under the weights; a tie is not right."""
    leads, num_always = _open_leads(classes_PEM, values_PEM)
    prompts = np.unique(leads.prompts_D)
    is_lost_D = leads.leads_DE @ weights_E < _LEAST_LEAD - 1e-9
    return num_always + prompts.size - np.unique(leads.prompts_D[is_lost_D]).size


def _open_leads(
    classes_PEM: NDArray[np.integer[Any]], values_PEM: NDArray[np.floating[Any]]
) -> tuple[_Leads, int]:
    """Leads of the prompts that the weights decide, and how many are right under all weights."""
    prompts: list[int] = []
    leads: list[Floats] = []
    num_always = 0
    for p in range(classes_PEM.shape[0]):
        of_prompt = _leads_of(classes_PEM[p], values_PEM[p])
        if of_prompt is None:
            continue
        contested = of_prompt[(of_prompt < _LEAST_LEAD).any(axis=1)]
        if not contested.size:
            num_always += 1
            continue
        is_hopeless = bool((contested < _LEAST_LEAD).all(axis=1).any())
        if not is_hopeless:
            prompts += [p] * contested.shape[0]
            leads.append(contested)
    leads_DE = np.zeros((0, classes_PEM.shape[1]))
    if leads:
        leads_DE = np.concatenate(leads)
    return _Leads(np.array(prompts, dtype=np.int64), leads_DE), num_always


def _leads_of(classes_EM: NDArray[np.integer[Any]], values_EM: NDArray[np.floating[Any]]) -> Floats | None:
    """Share of the right class less that of each other class, by engine; None where no draw is right.

    Without a wrong class the one row is the right class against none.
    """
    num_classes = int(classes_EM.max(initial=-1)) + 1
    is_right_EM = (values_EM >= _RIGHT) & (classes_EM >= 0)
    if not is_right_EM.any():
        return None
    shares_EC = vote_shares(classes_EM, num_classes)
    right = int(np.bincount(classes_EM[is_right_EM]).argmax())
    others_EC = np.delete(shares_EC, right, axis=1)
    others_EC = np.hstack([others_EC, np.zeros((shares_EC.shape[0], 1))])
    return (shares_EC[:, right, None] - others_EC).T


def _most_right(
    leads_DE: Floats, row_D: Ints, num_rows: int, prices_E: Floats, seconds: float
) -> tuple[Floats, NDArray[np.bool_], bool]:
    """Weights, which of the R contested prompts are right, and whether that is optimal.

    Variables: E weights, then R zeros and ones. Where prompt r is taken for right, each of its leads is at least
    `_LEAST_LEAD`; where it is not, the lead may be anything above −1.
    """
    num_pairs, num_engines = leads_DE.shape
    slack = 1.0 + _LEAST_LEAD
    chooses_DR = np.zeros((num_pairs, num_rows))
    chooses_DR[np.arange(num_pairs), row_D] = -slack
    constraints = [LinearConstraint(np.r_[np.ones(num_engines), np.zeros(num_rows)][None, :], 1, 1)]
    if num_pairs:
        constraints.append(LinearConstraint(np.hstack([leads_DE, chooses_DR]), lb=_LEAST_LEAD - slack))
    result: Any = milp(
        np.r_[prices_E, -np.ones(num_rows)],
        constraints=constraints,
        bounds=Bounds(0, 1),
        integrality=np.r_[np.zeros(num_engines), np.ones(num_rows)],
        options={"time_limit": seconds},
    )
    equal_E: Floats = np.ones(num_engines) / num_engines
    if result.x is None:
        return equal_E, np.zeros(num_rows, dtype=np.bool_), False
    weights_E: Floats = np.clip(result.x[:num_engines], 0, None)
    is_right_R: NDArray[np.bool_] = result.x[num_engines:] > 0.5  # noqa: PLR2004
    return weights_E / weights_E.sum(), is_right_R, bool(result.status == 0)


def _widest_margin(leads_DE: Floats, prices_E: Floats, weights_E: Floats) -> tuple[Floats, float]:
    """Weights with the greatest least lead over all given pairs, which cost no more than `weights_E`."""
    num_pairs, num_engines = leads_DE.shape
    if not num_pairs:
        if prices_E.any():
            return weights_E, 0.0
        equal_E: Floats = np.ones(num_engines) / num_engines
        return equal_E, 0.0

    limits_rows = np.hstack([-leads_DE, np.ones((num_pairs, 1))])
    limits = np.zeros(num_pairs)
    if prices_E.any():
        limits_rows = np.vstack([limits_rows, np.r_[prices_E, 0.0]])
        limits = np.r_[limits, prices_E @ weights_E + 1e-12]
    result: Any = linprog(
        np.r_[np.zeros(num_engines), -1.0],
        A_ub=limits_rows,
        b_ub=limits,
        A_eq=np.r_[np.ones(num_engines), 0.0][None, :],
        b_eq=[1.0],
        bounds=[(0, 1)] * num_engines + [(None, None)],
    )
    if result.x is None:
        return weights_E, float((leads_DE @ weights_E).min())
    widest_E: Floats = np.clip(result.x[:num_engines], 0, None)
    widest_E /= widest_E.sum()
    return widest_E, float((leads_DE @ widest_E).min())
