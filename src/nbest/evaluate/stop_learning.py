"""`nbest fit stop`: a stopping rule fitted to recorded pools, with what it does on prompts that it was not fitted on.

Two folds of clusters: on each, weights that were fitted on the other are replayed. The figures in the file are theirs,
and λ is chosen by them; the weights in the file are fitted on all pools.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

import nbest
from nbest.errors import InputError
from nbest.evaluate.intervals import Floats, Ints, units_of
from nbest.evaluate.pool_arrays import RecordedPools
from nbest.plan.posterior import top_posterior
from nbest.plan.stop_file import HeldOut, StopFile
from nbest.plan.stop_fit import LAMBDAS, fit_policy
from nbest.plan.stop_policy import ALPHA
from nbest.plan.trajectories import Trajectories, in_orders

_MAX_TRAJECTORIES: Final = 6000
"""The fit has few weights: more add time alone."""
_MAX_ORDERS: Final = 8
_B: Final = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000)
"""Thresholds of `bayes_factor` that are tried."""
_GRID: Final = np.geomspace(0.1, 1e-5, 41)
"""λ from which a token budget or a target chooses."""
_BAR: Final = 0.5
"""Standard errors by which the published rule must be better to decide."""
DEFAULT_LAMBDA: Final = 0.002


@dataclass(frozen=True, kw_only=True)
class StopTarget:
    """What λ is chosen by; one of them, or none for `DEFAULT_LAMBDA`."""

    lam: float | None = None
    tokens: float | None = None
    """Mean output tokens per prompt, at most."""
    score: float | None = None
    """Mean score, at least."""

    def __post_init__(self) -> None:
        given = [value for value in (self.lam, self.tokens, self.score) if value is not None]
        if len(given) > 1:
            raise InputError("give one of `lambda`, `tokens` and `target`: each of them decides the others")
        if self.lam is not None and self.lam <= 0:
            raise InputError("`lambda` must be above 0")


def learn_stop(
    sources: Sequence[RecordedPools],
    target: StopTarget,
    *,
    num_draws: int | None = None,
    seed: int = 0,
    provenance: dict[str, Any] | None = None,
) -> StopFile:
    """The rule for the pools of one or several models; each model's lengths are taken in its own mean answers.

    `num_draws`, by default the size of the smallest pool, is the most that are drawn. Raises `InputError` for a target
    that no λ reaches, and for fewer than four clusters.
    """
    width = num_draws or min(int(source.arrays.sizes_P.min()) for source in sources)
    trajectories, clusters = _joined(sources, width, seed)
    units_P = units_of(clusters, len(clusters))
    num_units = int(units_P.max()) + 1
    if num_units < 4:  # noqa: PLR2004
        raise InputError(f"a rule is fitted on at least 4 clusters of prompts, got {num_units}")

    fold_U = np.random.default_rng(seed).permutation(num_units) % 2
    fold_T = fold_U[units_P][trajectories.prompts_T]
    folds = [_Fold.of(trajectories.select(fold_T != f), trajectories.select(fold_T == f)) for f in (0, 1)]

    mean_length = float(np.mean([source.arrays.mean_length for source in sources]))
    lam = _lambda(folds, target, mean_length)
    final = fit_policy(trajectories)
    whole = _Fold.of(trajectories, trajectories, policy=final)
    return StopFile(
        lam=lam,
        mean_length=mean_length,
        num_draws=width,
        b=float(_B[whole.best_rule(lam)]),
        weights=final.weights,
        tasks=final.tasks,
        languages=final.languages,
        provenance={
            "nbest": nbest.__version__,
            **(provenance or {}),
            "prompts": len(clusters),
            "clusters": num_units,
            "trajectories": int(trajectories.prompts_T.size),
            "seed": seed,
        },
        held_out=tuple(_held_out(folds, whole, each) for each in sorted({*LAMBDAS, lam}, reverse=True)),
    )


class _Fold:
    """What rules do on held-out trajectories; parameters are chosen on the other fold."""

    def __init__(self, fitting: Trajectories, held: Trajectories, policy: Any) -> None:
        self._policy = policy
        self._fitting_rules, self._fitting = _rules(fitting), fitting
        self._rules, self.held = _rules(held), held

    @classmethod
    def of(cls, fitting: Trajectories, held: Trajectories, policy: Any = None) -> _Fold:
        return cls(fitting, held, policy or fit_policy(fitting))

    def learned(self, lam: float) -> _Ends:
        going_on = self._policy.all_going_on(self.held, lam, 1.0)
        return _Ends.at(_first_stop(~going_on), self.held)

    def best_rule(self, lam: float) -> int:
        """Place in `_B` of the best threshold on the fitting fold."""
        return int(np.argmax([_Ends.at(at_T, self._fitting).net(lam).mean() for at_T in self._fitting_rules]))

    def rule(self, lam: float) -> _Ends:
        return _Ends.at(self._rules[self.best_rule(lam)], self.held)

    def best_n(self, lam: float) -> int:
        """The best fixed number of draws on the fitting fold."""
        votes = self._fitting.votes
        nets_K = votes.value_TK.mean(axis=0, dtype=np.float64) - lam * self._fitting.tokens.mean(axis=0)
        return int(nets_K.argmax()) + 1

    def fixed(self, n: int) -> _Ends:
        return _Ends.at(np.full(self.held.prompts_T.size, n - 1), self.held)


@dataclass(frozen=True)
class _Ends:
    """Where trajectories end: score, tokens in mean answers, draws."""

    values_T: Floats
    tokens_T: Floats
    draws_T: Ints

    @classmethod
    def at(cls, at_T: Ints, trajectories: Trajectories) -> _Ends:
        rows = np.arange(at_T.size)
        values_T = trajectories.votes.value_TK[rows, at_T].astype(np.float64)
        return cls(values_T, trajectories.tokens[rows, at_T], at_T + 1)

    def net(self, lam: float) -> Floats:
        """Score − λ · tokens."""
        return self.values_T - lam * self.tokens_T


def _rules(trajectories: Trajectories) -> list[Ints]:
    """Where `bayes_factor` ends for each threshold of `_B`."""
    votes = trajectories.votes
    is_top_U = np.minimum(top_posterior(votes.counts_UC, ALPHA).is_top_U, 1 - 1e-15)
    distinct_U = (votes.counts_UC > 0).sum(axis=1)
    odds_U = np.where(distinct_U > 0, distinct_U * is_top_U / (1 - is_top_U), 0.0)
    odds_TK = odds_U[votes.at_TK]
    return [_first_stop(odds_TK >= b) for b in _B]


def _first_stop(stops_TK: Any) -> Ints:
    stops_TK[:, -1] = True
    return stops_TK.argmax(axis=1)


def _joined(sources: Sequence[RecordedPools], width: int, seed: int) -> tuple[Trajectories, list[str]]:
    """All pools as trajectories, lengths in mean answers; at most so many, a random part of the prompts if need be."""
    num_prompts = sum(len(source.clusters) for source in sources)
    share = min(1.0, _MAX_TRAJECTORIES / num_prompts)
    num_orders = int(np.clip(_MAX_TRAJECTORIES // num_prompts, 1, _MAX_ORDERS))
    parts: list[Trajectories] = []
    clusters: list[str] = []
    for i, source in enumerate(sources):
        part = in_orders(source.arrays, width, num_orders=num_orders, seed=seed + i)
        if share < 1:
            num_kept = max(4, int(share * len(source.clusters)))
            chosen = np.random.default_rng(seed + i).permutation(len(source.clusters))[:num_kept]
            part = part.select(np.isin(part.prompts_T, chosen))
        parts.append(part)
        clusters += source.clusters
    means = [source.arrays.mean_length for source in sources]
    offsets = np.cumsum([0, *(len(source.clusters) for source in sources)])
    joined = Trajectories(
        prompts_T=np.concatenate([p.prompts_T + offset for p, offset in zip(parts, offsets, strict=False)]),
        classes_TK=np.concatenate([p.classes_TK for p in parts]),
        lengths_TK=np.concatenate(
            [p.lengths_TK / np.float32(mean) for p, mean in zip(parts, means, strict=True)]
        ),
        values_TK=np.concatenate([p.values_TK for p in parts]),
        inputs_T=np.concatenate([p.inputs_T for p in parts]),
        tasks_P=tuple(task for source in sources for task in source.arrays.tasks_P),
        languages_P=tuple(language for source in sources for language in source.arrays.languages_P),
    )
    return joined, clusters


def _lambda(folds: Sequence[_Fold], target: StopTarget, mean_length: float) -> float:
    """λ that the target chooses, on held-out prompts."""
    if target.tokens is None and target.score is None:
        return target.lam or DEFAULT_LAMBDA

    ends = [[fold.learned(lam) for fold in folds] for lam in _GRID]
    tokens = np.array([_mean([end.tokens_T for end in both]) for both in ends]) * mean_length
    scores = np.array([_mean([end.values_T for end in both]) for both in ends])
    if target.tokens is not None:
        fitting = np.flatnonzero(tokens <= target.tokens)
        if not fitting.size:
            raise InputError(f"`tokens` must be at least {tokens[0]:.0f}: one answer takes that many")
        return float(_GRID[fitting[-1]])

    reaching = np.flatnonzero(scores >= target.score)
    if not reaching.size:
        raise InputError(
            f"no λ reaches `target` {target.score:g} on held-out prompts: the best is {scores.max():.4g}"
        )
    return float(_GRID[reaching[0]])


def _is_behind(folds: Sequence[_Fold], lam: float) -> bool:
    """Whether the best published rule is better on held-out prompts by more than half a standard error."""
    differences = [fold.learned(lam).net(lam) - fold.rule(lam).net(lam) for fold in folds]
    prompts = [fold.held.prompts_T for fold in folds]
    difference_T, prompts_T = np.concatenate(differences), np.concatenate(prompts)
    counts_P = np.bincount(prompts_T)
    by_prompt = (np.bincount(prompts_T, weights=difference_T) / np.maximum(1, counts_P))[counts_P > 0]
    error = float(by_prompt.std() / np.sqrt(by_prompt.size))
    return bool(by_prompt.mean() < -_BAR * error)


def _held_out(folds: Sequence[_Fold], whole: _Fold, lam: float) -> HeldOut:
    learned, rule = [fold.learned(lam) for fold in folds], [fold.rule(lam) for fold in folds]
    fixed = [fold.fixed(fold.best_n(lam)) for fold in folds]
    return HeldOut(
        lam=lam,
        value=_mean([end.values_T for end in learned]),
        draws=_mean([end.draws_T.astype(np.float64) for end in learned]),
        tokens=_mean([end.tokens_T for end in learned]),
        fixed_n=whole.best_n(lam),
        fixed_value=_mean([end.values_T for end in fixed]),
        b=float(_B[whole.best_rule(lam)]),
        rule_value=_mean([end.values_T for end in rule]),
        rule_tokens=_mean([end.tokens_T for end in rule]),
        is_behind=_is_behind(folds, lam),
    )


def _mean(parts: Sequence[Floats]) -> float:
    return float(np.concatenate(parts).mean())
