"""A plan from recorded runs, with what it is worth on prompts that it was not fitted on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nbest import registry
from nbest.errors import InputError
from nbest.evaluate.estimators import Estimate, mean_interval
from nbest.evaluate.intervals import Floats, Ints, percentiles, resampled_clusters
from nbest.evaluate.plan_options import PlanRuns, Wanted, read_options
from nbest.evaluate.scores import is_accuracy
from nbest.plan.difficulty import confusion
from nbest.plan.plan_file import LAMBDAS, Effort, HeldOutRow, Plan
from nbest.plan.plan_fit import CrossFit, FitOptions, by_prompt, cross_fit, fit, single_best
from nbest.protocols import Scorer

_RESAMPLES = 2000
_TOLERANCE = 1e-9


async def learn_plan(
    runs: Sequence[str],
    scorer: Scorer,
    wanted: Wanted,
    *,
    num_bins: int = 5,
    prior: float = 50.0,
    num_folds: int = 2,
    provenance: Mapping[str, Any] | None = None,
    on_prompt: Callable[[], object] = lambda: None,
) -> Plan:
    """Fits bins and choices on all prompts; its figures are cross-fitted, `num_folds` folds by cluster.

    Raises `InputError` for runs that hold no pool or no prompt in common, and for a budget that nothing fits.
    """
    if min(wanted.budgets, default=0.0) < wanted.pilot:
        raise InputError(f"`budgets` must be at least the pilot's {wanted.pilot} answers, which are charged")
    if wanted.pilot < 1 or num_bins < 1 or num_folds < 2 or wanted.num_orders < 1:  # noqa: PLR2004
        raise InputError("`pilot`, `bins` and `resamples` must be at least 1, `folds` at least 2")
    found = await read_options(runs, scorer, wanted, on_prompt=on_prompt)
    options = FitOptions(budgets=tuple(sorted(set(wanted.budgets))), num_bins=num_bins, prior=prior)
    try:
        crossed = cross_fit(found.options, options, num_folds=num_folds, seed=wanted.seed)
        fitted = fit(found.options, options)
    except ValueError as e:
        raise InputError(f"no plan can be fitted: {e}") from None

    verifier = None
    if wanted.verifier is not None:
        verifier = registry.spec_of(wanted.verifier)
    num_predicted = max(fitted.difficulty.num_bins, int(crossed.predicted_T.max()))
    rates = confusion(
        crossed.predicted_T, crossed.oracle_bins_T, max(num_predicted, int(crossed.oracle_bins_T.max()))
    )
    rows = held_out_rows(
        found, crossed, options, is_share=is_accuracy(registry.spec_of(scorer)), seed=wanted.seed
    )
    return Plan(
        pilot=wanted.pilot,
        sampler=found.sampler,
        mean_length=float(f"{found.mean_length:.6g}"),
        scorer=verifier,
        engines=found.engines,
        verifiers=found.verifiers,
        difficulty=fitted.difficulty,
        choices=fitted.choices,
        efforts=_efforts(rows),
        confusion=tuple(tuple(float(f"{share:.3g}") for share in row) for row in rates),
        held_out=rows,
        provenance={**(provenance or {}), **_provenance(found, wanted, num_folds, prior)},
    )


def held_out_rows(
    found: PlanRuns, crossed: CrossFit, options: FitOptions, *, is_share: bool, seed: int
) -> tuple[HeldOutRow, ...]:
    """One row for each budget, with intervals over clusters."""
    table = found.options
    clusters_P = _clusters(table.prompts_T, table.clusters_T)
    singles = single_best(table, options.budgets)
    fixed_values_PS = np.column_stack(
        [by_prompt(table.values_TO[:, o], table.prompts_T) for o in found.fixed]
    )
    fixed_tokens_PS = np.column_stack(
        [by_prompt(table.tokens_TO[:, o], table.prompts_T) for o in found.fixed]
    )
    rows: list[HeldOutRow] = []
    for d, budget in enumerate(options.budgets):
        values_P, tokens_P = crossed.plan.values_PD[:, d], crossed.plan.tokens_PD[:, d]
        value = mean_interval(values_P, clusters=clusters_P.tolist(), is_share=is_share, seed=seed)
        gain = mean_interval(
            values_P - crossed.single.values_PD[:, d], clusters=clusters_P.tolist(), seed=seed
        )
        columns_PM = np.column_stack([values_P, tokens_P, fixed_values_PS, fixed_tokens_PS])
        place, saved = _saved(columns_PM, clusters_P, len(found.fixed), seed)
        rows.append(
            HeldOutRow(
                budget=budget,
                value=_short(value.value),
                value_low=_short_or_none(value.low),
                value_high=_short_or_none(value.high),
                cost=_short(tokens_P.mean() / found.mean_length),
                single=singles[d].strategy,
                single_value=_short(crossed.single.values_PD[:, d].mean()),
                single_cost=_short(crossed.single.tokens_PD[:, d].mean() / found.mean_length),
                gain=_short(gain.value),
                gain_low=_short_or_none(gain.low),
                gain_high=_short_or_none(gain.high),
                oracle_value=_short(crossed.oracle.values_PD[:, d].mean()),
                oracle_cost=_short(crossed.oracle.tokens_PD[:, d].mean() / found.mean_length),
                fixed=table.specs[found.fixed[place]],
                fixed_value=_short(fixed_values_PS[:, place].mean()),
                saved=_short(saved.value),
                saved_low=_short_or_none(saved.low),
                saved_high=_short_or_none(saved.high),
            )
        )
    return tuple(rows)


def _saved(columns_PM: Floats, clusters_P: Ints, num_sizes: int, seed: int) -> tuple[int, Estimate]:
    """The place of the cheapest pool that is as good as the plan, and its tokens over the plan's.

    The pool is found anew in each resample; where none is as good it is the best one.
    """
    num_clusters = int(clusters_P.max()) + 1
    sums_KM = np.zeros((num_clusters, columns_PM.shape[1]))
    np.add.at(sums_KM, clusters_P, columns_PM)
    places, ratios = _ratios(sums_KM.sum(axis=0, keepdims=True), num_sizes)
    if num_clusters < 2:  # noqa: PLR2004
        return int(places[0]), Estimate(float(ratios[0]), None, None)
    drawn = resampled_clusters(num_clusters, resamples=_RESAMPLES, seed=seed)
    sampled_R = np.concatenate([_ratios(weights @ sums_KM, num_sizes)[1] for weights in drawn])
    low, high = percentiles(sampled_R, num_clusters)
    return int(places[0]), Estimate(float(ratios[0]), low, high)


def _ratios(sums_RM: Floats, num_sizes: int) -> tuple[Ints, Floats]:
    values_R, tokens_R = sums_RM[:, 0], sums_RM[:, 1]
    fixed_RS: Floats = sums_RM[:, 2 : 2 + num_sizes]
    is_as_good_RS = fixed_RS >= (values_R - _TOLERANCE * np.maximum(1.0, np.abs(values_R)))[:, None]
    best_R: Ints = fixed_RS.argmax(axis=1)
    place_R = np.where(is_as_good_RS.any(axis=1), is_as_good_RS.argmax(axis=1), best_R)
    fixed_tokens_R = np.take_along_axis(sums_RM, 2 + num_sizes + place_R[:, None], axis=1)[:, 0]
    return place_R, fixed_tokens_R / tokens_R


def _clusters(prompts_T: Ints, clusters_T: Ints) -> Ints:
    """The cluster of each prompt."""
    _, first_P = np.unique(prompts_T, return_index=True)
    return clusters_T[first_P]


def _efforts(rows: Sequence[HeldOutRow]) -> dict[Effort, float]:
    """For each effort the budget whose held-out value less λ · cost is highest; of equal ones the smallest."""
    return {
        effort: max(rows, key=lambda row: (row.value - price * row.cost, -row.budget)).budget
        for effort, price in LAMBDAS.items()
    }


def _provenance(found: PlanRuns, wanted: Wanted, num_folds: int, prior: float) -> dict[str, Any]:
    table = found.options
    return {
        "num_prompts": int(np.unique(table.prompts_T).size),
        "num_clusters": int(np.unique(table.clusters_T).size),
        "num_left_out": found.num_left_out,
        "num_draws": int(found.pool.arrays.sizes_P.min()),
        "num_options": len(table.specs),
        "num_orders": wanted.num_orders,
        "num_folds": num_folds,
        "prior": prior,
        "seed": wanted.seed,
        "oracle_uses_other_draws": found.is_oracle_apart,
        "languages": sorted({name for name in table.languages_T if name is not None}),
        "tasks": sorted({name for name in table.tasks_T if name is not None}),
        "prompts_by_language": dict(Counter(_named(table.languages_T, table.prompts_T))),
    }


def _named(names_T: Sequence[str | None], prompts_T: Ints) -> list[str]:
    """The name of each prompt that has one."""
    _, places = np.unique(prompts_T, return_index=True)
    first_P: list[int] = places.tolist()
    names = [names_T[t] for t in first_P]
    return [name for name in names if name is not None]


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _short_or_none(value: float | None) -> float | None:
    if value is None:
        return None
    return _short(value)
