"""Which strategy pays at which difficulty: fitted on some prompts, measured on others (Snell et al. 2024, arXiv 2408.03314, §3.2).

Dimensions: T trajectories, P prompts, K clusters, O options, D budgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nbest.plan.difficulty import Difficulty, edges_of, fit_difficulty
from nbest.plan.option_values import OptionTable
from nbest.plan.trajectories import Bools, Floats, Ints
from nbest.text.language_tags import closest_tag
from nbest.types import Value

_TOLERANCE = 1e-9


class Choice(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The strategy for prompts of one bin under one budget."""

    budget: float
    """In mean answers, the pilot included."""
    bin: int
    """From 1, the easiest."""
    strategy: str
    """A spec; of the strategy that goes on from the pilot's draws."""
    value: float
    """Mean score on the prompts that it was fitted on."""
    cost: float
    """Mean cost there, in mean answers over all prompts."""
    num_prompts: int
    language: str | None = None
    """Of the prompts it is for; None: of all that have no choice of their own."""
    task: str | None = None


class FitOptions(NamedTuple):
    """How a plan is fitted."""

    budgets: tuple[float, ...]
    num_bins: int = 5
    prior: float = 50.0
    """Prompts that the pooled estimate counts as, where a language or task has an estimate of its own."""
    min_prompts: int = 20
    """Of a language or task in a bin, for a choice of its own."""


class FittedPlan(NamedTuple):
    """Bins and choices; `choices` names options by number, for one budget after the other."""

    difficulty: Difficulty
    choices: tuple[Choice, ...]


class HeldOutValues(NamedTuple):
    """Means over orders by prompt, at each budget: what was fitted on the other folds."""

    values_PD: Floats
    tokens_PD: Floats


def fit(table: OptionTable, options: FitOptions) -> FittedPlan:
    """Bins by predicted difficulty, and for each of them and each budget the cheapest option within one standard error
    of the best. Raises `ValueError` where no option fits a budget."""
    num_orders = table.prompts_T.size / np.unique(table.prompts_T).size
    difficulty = fit_difficulty(
        table.features_TF,
        table.score_T,
        languages_T=table.languages_T,
        tasks_T=table.tasks_T,
        num_bins=options.num_bins,
        prior=options.prior * num_orders,
    )
    predicted_T = difficulty.all_predicted(table.features_TF, table.languages_T, table.tasks_T)
    return FittedPlan(difficulty, choices_of(table, difficulty.bins(predicted_T), options))


def choices_of(table: OptionTable, bins_T: Ints, options: FitOptions) -> tuple[Choice, ...]:
    """The choice of each bin and budget, and those of languages and tasks that differ from it."""
    mean_answer = _mean_answer(table)
    found: list[Choice] = []
    for bin_ in range(1, int(bins_T.max(initial=1)) + 1):
        in_bin_T: Bools = bins_T == bin_
        if not in_bin_T.any():
            continue
        of_bin = _Means(table, in_bin_T)
        groups = [
            (name, _Means(table, rows, of_bin, options.prior)) for name, rows in _groups(table, in_bin_T)
        ]
        groups = [(name, means) for name, means in groups if means.num_prompts >= options.min_prompts]
        for budget in options.budgets:
            pooled = _choice(of_bin, budget, bin_, table.specs, mean_answer)
            found.append(pooled)
            for (language, task), means in groups:
                own = _choice(means, budget, bin_, table.specs, mean_answer, language=language, task=task)
                if own.strategy != pooled.strategy:
                    found.append(own)
    return tuple(found)


def single_best(table: OptionTable, budgets: Sequence[float]) -> tuple[Choice, ...]:
    """For each budget the one strategy for all prompts, by the same rule as a plan's."""
    everything = _Means(table, np.ones(table.prompts_T.size, dtype=np.bool_))
    return tuple(_choice(everything, budget, 1, table.specs, _mean_answer(table)) for budget in budgets)


def choose(
    choices: Sequence[Choice], budget: float, bin_: int, language: str | None, task: str | None
) -> tuple[Choice | None, bool, bool]:
    """The choice for a prompt, and whether it is of the prompt's own language and task.

    The chain: (language, task), language, task, all. A language stands for its regions (`pt` for `pt-BR`). None where the
    plan holds nothing for the bin and budget.
    """
    here = [c for c in choices if c.bin == bin_ and abs(c.budget - budget) <= _TOLERANCE]
    known = closest_tag(language, [c.language for c in here if c.language is not None])
    for wanted in ((known, task), (known, None), (None, task), (None, None)):
        fitting = [c for c in here if (c.language, c.task) == wanted]
        if fitting:
            is_language = wanted[0] is not None
            is_task = wanted[1] is not None
            return fitting[0], is_language, is_task
    return None, False, False


def applied(
    table: OptionTable, bins_T: Ints, choices: Sequence[Choice], budgets: Sequence[float]
) -> HeldOutValues:
    """What choices give on a table, the means over orders by prompt in the order of their numbers."""
    number_by_spec = {spec: o for o, spec in enumerate(table.specs)}
    rows = np.arange(bins_T.size)
    kinds = list(zip(bins_T.tolist(), table.languages_T, table.tasks_T, strict=True))
    values: list[Floats] = []
    tokens: list[Floats] = []
    for budget in budgets:
        option_by_kind: dict[tuple[int, str | None, str | None], int] = {}
        for kind in set(kinds):
            choice, _, _ = choose(choices, budget, *kind)
            assert choice is not None
            option_by_kind[kind] = number_by_spec[choice.strategy]
        chosen_T = np.array([option_by_kind[kind] for kind in kinds])
        values.append(by_prompt(table.values_TO[rows, chosen_T], table.prompts_T))
        tokens.append(by_prompt(table.tokens_TO[rows, chosen_T], table.prompts_T))
    return HeldOutValues(np.column_stack(values), np.column_stack(tokens))


class CrossFit(NamedTuple):
    """The plan, the best single strategy, and the plan that knows the oracle's bins, each on held-out prompts."""

    plan: HeldOutValues
    single: HeldOutValues
    oracle: HeldOutValues
    predicted_T: Ints
    """Predicted bin of each trajectory, from the other folds."""
    oracle_bins_T: Ints


def cross_fit(table: OptionTable, options: FitOptions, *, num_folds: int = 2, seed: int = 0) -> CrossFit:
    """Fits on all folds but one, and measures on that one, for each of them; clusters are never torn.

    Raises `ValueError` for fewer clusters than folds.
    """
    folds_T = _folds(table, num_folds, seed)
    num_prompts = int(table.prompts_T.max()) + 1
    plan, single, oracle = (_empty(num_prompts, len(options.budgets)) for _ in range(3))
    predicted_T = np.ones(folds_T.size, dtype=np.int64)
    oracle_bins_T = np.ones(folds_T.size, dtype=np.int64)
    for fold in range(num_folds):
        is_held_T: Bools = folds_T == fold
        train, held = table.select(~is_held_T), table.select(is_held_T)
        fitted = fit(train, options)
        bins_T = fitted.difficulty.bins(
            fitted.difficulty.all_predicted(held.features_TF, held.languages_T, held.tasks_T)
        )
        predicted_T[is_held_T] = bins_T

        known = Difficulty(edges=edges_of(train.oracle_T, options.num_bins))
        of_oracle = choices_of(train, known.bins(train.oracle_T), options)
        oracle_bins_T[is_held_T] = known.bins(held.oracle_T)

        one = single_best(train, options.budgets)
        all_one_T = np.ones(bins_T.size, dtype=np.int64)
        parts = (
            applied(held, bins_T, fitted.choices, options.budgets),
            applied(held, all_one_T, one, options.budgets),
            applied(held, oracle_bins_T[is_held_T], of_oracle, options.budgets),
        )
        prompts = np.unique(held.prompts_T)
        for result, part in zip((plan, single, oracle), parts, strict=True):
            result.values_PD[prompts] = part.values_PD
            result.tokens_PD[prompts] = part.tokens_PD
    return CrossFit(plan, single, oracle, predicted_T, oracle_bins_T)


def by_prompt(values_T: Floats, prompts_T: Ints) -> Floats:
    """Means over the orders of each prompt, in the order of their numbers."""
    _, places_T = np.unique(prompts_T, return_inverse=True)
    return np.bincount(places_T, weights=values_T) / np.bincount(places_T)


class _Means:
    """Means of every option over some trajectories, shrunk towards `pooled` as if `prior` prompts had its means."""

    def __init__(
        self, table: OptionTable, rows_T: Bools, pooled: _Means | None = None, prior: float = 0.0
    ) -> None:
        self.num_prompts = int(np.unique(table.prompts_T[rows_T]).size)
        _, clusters_T = np.unique(table.clusters_T[rows_T], return_inverse=True)
        num_clusters = int(clusters_T.max()) + 1
        self._counts_K = np.bincount(clusters_T).astype(np.float64)
        self._sums_KO = np.zeros((num_clusters, len(table.specs)))
        np.add.at(self._sums_KO, clusters_T, table.values_TO[rows_T])
        self._share = 1.0
        self.values_O = self._sums_KO.sum(axis=0) / self._counts_K.sum()
        self.answers_O = table.answers_TO[rows_T].mean(axis=0)
        self.tokens_O = table.tokens_TO[rows_T].mean(axis=0)
        if pooled is not None:
            self._share = self.num_prompts / (self.num_prompts + prior)
            self.values_O = self._share * self.values_O + (1.0 - self._share) * pooled.values_O
            self.answers_O = self._share * self.answers_O + (1.0 - self._share) * pooled.answers_O

    def standard_errors(self, best: int) -> Floats:
        """Of the difference of each option to option `best`, by cluster."""
        differences_KO = self._sums_KO - self._sums_KO[:, [best]]
        mean_O = differences_KO.sum(axis=0) / self._counts_K.sum()
        residuals_KO = differences_KO - self._counts_K[:, None] * mean_O
        num_clusters = self._counts_K.size
        scale = num_clusters / max(1, num_clusters - 1)
        return self._share * np.sqrt(scale * (residuals_KO**2).sum(axis=0)) / self._counts_K.sum()


def _choice(
    means: _Means,
    budget: float,
    bin_: int,
    specs: Sequence[str],
    mean_answer: float,
    *,
    language: str | None = None,
    task: str | None = None,
) -> Choice:
    """The cheapest option within one standard error of the best, of those that cost `budget` at most."""
    affordable_O = means.answers_O <= budget + _TOLERANCE
    if not affordable_O.any():
        least = float(means.answers_O.min())
        raise ValueError(f"no option costs {budget:g} answers or less: the cheapest costs {least:.3g}")
    best = int(np.where(affordable_O, means.values_O, -np.inf).argmax())
    enough_O = means.values_O >= means.values_O[best] - means.standard_errors(best) - _TOLERANCE
    chosen = int(np.where(affordable_O & enough_O, means.tokens_O, np.inf).argmin())
    return Choice(
        budget=budget,
        bin=bin_,
        strategy=specs[chosen],
        value=float(f"{means.values_O[chosen]:.6g}"),
        cost=float(f"{means.tokens_O[chosen] / mean_answer:.6g}"),
        num_prompts=means.num_prompts,
        language=language,
        task=task,
    )


def _mean_answer(table: OptionTable) -> float:
    """Tokens of a mean answer over all prompts."""
    return float((table.tokens_TO / table.answers_TO).mean())


def _groups(table: OptionTable, in_bin_T: Bools) -> list[tuple[tuple[str | None, str | None], Bools]]:
    """The trajectories of each language, task, and pair of both in a bin, where there are several of them."""
    languages = np.array([name or "" for name in table.languages_T])
    tasks = np.array([name or "" for name in table.tasks_T])
    language_names = [str(name) for name in np.unique(languages) if name]
    task_names = [str(name) for name in np.unique(tasks) if name]
    found: list[tuple[tuple[str | None, str | None], Bools]] = []
    if np.unique(languages).size > 1:
        found += [((name, None), in_bin_T & (languages == name)) for name in language_names]
    if np.unique(tasks).size > 1:
        found += [((None, name), in_bin_T & (tasks == name)) for name in task_names]
    if np.unique(languages).size > 1 and np.unique(tasks).size > 1:
        found += [
            ((language, task), in_bin_T & (languages == language) & (tasks == task))
            for language in language_names
            for task in task_names
        ]
    return [(names, rows) for names, rows in found if rows.any()]


def _folds(table: OptionTable, num_folds: int, seed: int) -> Ints:
    """The fold of each trajectory: clusters are dealt by the oracle's difficulty, so that folds are alike."""
    num_clusters = int(table.clusters_T.max()) + 1
    if num_clusters < num_folds:
        raise ValueError(f"{num_folds} folds need as many clusters of prompts; there are {num_clusters}")
    counts_K = np.bincount(table.clusters_T, minlength=num_clusters)
    sums_K = np.bincount(table.clusters_T, weights=table.oracle_T, minlength=num_clusters)
    difficulty_K = sums_K / np.maximum(1, counts_K)
    tie_K = np.random.default_rng(seed).random(num_clusters)
    order = np.lexsort((tie_K, difficulty_K))
    fold_K = np.empty(num_clusters, dtype=np.int64)
    fold_K[order] = np.arange(num_clusters) % num_folds
    return fold_K[table.clusters_T]


def _empty(num_prompts: int, num_budgets: int) -> HeldOutValues:
    return HeldOutValues(np.zeros((num_prompts, num_budgets)), np.zeros((num_prompts, num_budgets)))
