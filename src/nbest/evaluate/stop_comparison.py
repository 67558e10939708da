"""Stopping rules on recorded pools, each beside the cheapest fixed number of draws that is as good."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nbest import registry
from nbest.datasets import Pool
from nbest.errors import InputError
from nbest.evaluate.estimators import Estimate, mean_interval
from nbest.evaluate.intervals import Floats, Ints, percentiles, resampled_clusters, units_of
from nbest.evaluate.pool_arrays import RecordedPools, read_arrays
from nbest.evaluate.scores import is_accuracy
from nbest.evaluate.scoring_engines import ScoringEngines
from nbest.plan.stop_replay import Replay, replay, replayed_at
from nbest.plan.trajectories import Trajectories, in_orders
from nbest.protocols import Scorer, Stop
from nbest.types import Value

_TOLERANCE = 1e-9


class FixedN(Value, frozen=True, kw_only=True):
    """The cheapest fixed number of draws that is as good as a rule."""

    n: int
    value: float
    output_tokens: float
    is_as_good: bool
    """False: no number of draws is, and this is the best one."""


class StopResult(Value, frozen=True, kw_only=True):
    """One rule, averaged over prompts and orders."""

    stop: str
    value: Estimate
    """Score of the choice."""
    draws: float
    """Made, those that were cancelled included."""
    input_tokens: float
    """With each draw a call of its own; what a server has in its prefix cache is not taken off."""
    output_tokens: float
    latency: float
    """Output tokens that are waited for, one after the other."""
    fixed: FixedN
    token_ratio: Estimate
    """Output tokens of the rule over those of `fixed`, which is found anew in each resample."""


class StopComparison(Value, frozen=True, kw_only=True):
    """A table of rules, and how it was made."""

    score: str
    num_prompts: int
    num_draws: int
    """Of each pool, at most."""
    num_orders: int
    wave: int
    seed: int
    num_too_small: int
    num_unscored: int
    num_without_length: int
    results: tuple[StopResult, ...]
    fixed_values: tuple[float, ...]
    """Score of the majority of n draws, n = 1, 2, …"""
    fixed_tokens: tuple[float, ...]
    """Output tokens of n draws."""


async def compare_stops(
    pools: Iterable[Pool],
    stops: Sequence[str],
    *,
    scorer: Scorer,
    num_draws: int | None = None,
    wave: int = 1,
    cluster: str | None = None,
    num_orders: int = 8,
    seed: int = 0,
    engines: ScoringEngines | None = None,
    on_prompt: Callable[[], object] = lambda: None,
) -> StopComparison:
    """Replays rules on recorded pools: every rule sees the same draws in the same random orders.

    `num_draws` is where each rule ends at the latest, by default the size of the smallest pool; pools with fewer are
    left out. Draws are made `wave` at a time; those of a wave run equally fast and arrive in the order of their
    lengths, and what is under way when the rule stops is cancelled, its tokens until then counted. The choice is the
    majority's; the best by its scorer for a rule that has one. Intervals are over prompts, those of a `cluster` together. `engines` is for
    scorers that ask a model.

    Raises `InputError` where no pool is left, `SpecError` for a wrong spec, and `CapabilityError` where the record lacks
    what a rule's scorer reads.
    """
    if num_orders < 1 or wave < 1 or (num_draws is not None and num_draws < 1):
        raise InputError("`resamples`, `wave` and the number of draws must be at least 1")
    rules = {spec: registry.parse("stops", spec) for spec in dict.fromkeys(stops)}
    recorded = await read_arrays(
        pools,
        scorer,
        num_draws=num_draws,
        rule_scorer=_scorer_of(rules),
        cluster=cluster,
        engines=engines,
        on_prompt=on_prompt,
    )
    num_draws = num_draws or int(recorded.arrays.sizes_P.min())
    trajectories = in_orders(recorded.arrays, num_draws, num_orders=num_orders, wave=wave, seed=seed)
    mean_length = recorded.arrays.mean_length

    is_share = is_accuracy(registry.spec_of(scorer))
    table = _Table(trajectories, recorded, seed=seed, is_share=is_share)
    results = [
        table.result(spec, rule, replay(rule, trajectories, mean_length)) for spec, rule in rules.items()
    ]
    fixed = table.fixed_n(by_score=False)
    return StopComparison(
        score=registry.spec_of(scorer),
        num_prompts=len(recorded.clusters),
        num_draws=num_draws,
        num_orders=num_orders,
        wave=wave,
        seed=seed,
        num_too_small=recorded.num_too_small,
        num_unscored=recorded.num_unscored,
        num_without_length=recorded.num_without_length,
        results=tuple(results),
        fixed_values=tuple(map(float, fixed.values_PK.mean(axis=0))),
        fixed_tokens=tuple(map(float, fixed.tokens_PK.mean(axis=0))),
    )


def _scorer_of(rules: Mapping[str, Stop]) -> Scorer | None:
    """The scorer that rules read; None where none does. Raises `InputError` for several."""
    scorers = {registry.spec_of(s): s for rule in rules.values() if (s := getattr(rule, "scorer", None))}
    if len(scorers) > 1:
        raise InputError(
            f"`stop` names rules with several scorers, compare them one by one: {', '.join(scorers)}"
        )
    return next(iter(scorers.values()), None)


@dataclass(frozen=True)
class _FixedCurve:
    """Fixed numbers of draws: mean over orders, by prompt and n."""

    values_PK: Floats
    tokens_PK: Floats


class _Table:
    """Averages over orders and prompts."""

    def __init__(
        self, trajectories: Trajectories, recorded: RecordedPools, *, seed: int, is_share: bool
    ) -> None:
        self._trajectories = trajectories
        self._seed, self._is_share = seed, is_share
        self._clusters = recorded.clusters
        self._units_P = units_of(recorded.clusters, len(recorded.clusters))
        self._curve_by_kind: dict[bool, _FixedCurve] = {}

    def result(self, spec: str, rule: Stop, found: Replay) -> StopResult:
        values_P, tokens_P = self._by_prompt(found.values_T), self._by_prompt(found.tokens_T)
        curve = self.fixed_n(by_score=getattr(rule, "scorer", None) is not None)
        fixed, ratio = self._cheapest(values_P, tokens_P, curve)
        started_T = found.started_T.astype(np.float64)
        return StopResult(
            stop=spec,
            value=mean_interval(values_P, clusters=self._clusters, is_share=self._is_share, seed=self._seed),
            draws=float(started_T.mean()),
            input_tokens=float((started_T * self._trajectories.inputs_T).mean()),
            output_tokens=float(tokens_P.mean()),
            latency=float(found.latency_T.mean()),
            fixed=fixed,
            token_ratio=ratio,
        )

    def fixed_n(self, *, by_score: bool) -> _FixedCurve:
        """Drawn all at once, without a rule: no draw is cancelled."""
        if by_score not in self._curve_by_kind:
            num, width = self._trajectories.prompts_T.size, self._trajectories.num_draws
            whole = Trajectories(
                prompts_T=self._trajectories.prompts_T,
                classes_TK=self._trajectories.classes_TK,
                lengths_TK=self._trajectories.lengths_TK,
                values_TK=self._trajectories.values_TK,
                inputs_T=self._trajectories.inputs_T,
                scores_TK=self._trajectories.scores_TK,
            )
            at_T: Ints = np.zeros(num, dtype=np.intp)
            columns = [replayed_at(at_T + k, whole, by_score=by_score) for k in range(width)]
            self._curve_by_kind[by_score] = _FixedCurve(
                np.stack([self._by_prompt(column.values_T) for column in columns], axis=1),
                np.stack([self._by_prompt(column.tokens_T) for column in columns], axis=1),
            )
        return self._curve_by_kind[by_score]

    def _by_prompt(self, values_T: Floats) -> Floats:
        prompts_T = self._trajectories.prompts_T
        return np.bincount(prompts_T, weights=values_T) / np.bincount(prompts_T)

    def _cheapest(self, values_P: Floats, tokens_P: Floats, curve: _FixedCurve) -> tuple[FixedN, Estimate]:
        """The yardstick, and the ratio of tokens to it with its bootstrap interval over clusters."""
        columns_PM = np.column_stack([values_P, tokens_P, curve.values_PK, curve.tokens_PK])
        num_units, width = int(self._units_P.max()) + 1, curve.values_PK.shape[1]
        sums_UM = np.stack(
            [np.bincount(self._units_P, weights=column, minlength=num_units) for column in columns_PM.T],
            axis=1,
        )
        place, ratio = _ratios(sums_UM.sum(axis=0, keepdims=True), width)
        fixed = FixedN(
            n=int(place[0]) + 1,
            value=float(curve.values_PK[:, place[0]].mean()),
            output_tokens=float(curve.tokens_PK[:, place[0]].mean()),
            is_as_good=bool(curve.values_PK[:, place[0]].mean() >= values_P.mean() - _TOLERANCE),
        )
        if num_units < 2:  # noqa: PLR2004
            return fixed, Estimate(float(ratio[0]), None, None)

        drawn = resampled_clusters(num_units, resamples=2000, seed=self._seed)
        sampled_R = np.concatenate([_ratios(weights @ sums_UM, width)[1] for weights in drawn])
        low, high = percentiles(sampled_R, num_units)
        return fixed, Estimate(float(ratio[0]), low, high)


def _ratios(sums_RM: Floats, width: int) -> tuple[Ints, Floats]:
    """By row of sums (the rule's value and tokens, then those of n = 1 … `width`): the place of the cheapest n that is
    as good, and the rule's tokens over its tokens."""
    values_R, tokens_R = sums_RM[:, 0], sums_RM[:, 1]
    fixed_RK: Floats = sums_RM[:, 2 : 2 + width]
    slack_R = _TOLERANCE * np.maximum(1.0, np.abs(values_R))
    is_as_good_RK = fixed_RK >= (values_R - slack_R)[:, None]
    first_R: Ints = is_as_good_RK.argmax(axis=1)
    has_none_R = ~is_as_good_RK.any(axis=1)
    first_R[has_none_R] = fixed_RK[has_none_R].argmax(axis=1)
    of_fixed_R = np.take_along_axis(sums_RM, 2 + width + first_R[:, None], axis=1)[:, 0]
    return first_R, tokens_R / of_fixed_R
