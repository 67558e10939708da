"""The options of a plan, from recorded runs on the same prompts: smaller pools, stopping rules, whole runs, shorter chains of revisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from nbest import registry
from nbest.datasets import Pool, PoolsAt
from nbest.errors import InputError
from nbest.evaluate.ingestion import ingest
from nbest.evaluate.intervals import units_of
from nbest.evaluate.method import method_of
from nbest.evaluate.pool_arrays import RecordedPools, read_arrays
from nbest.evaluate.revision_chains import sub_chains
from nbest.plan.difficulty import pilot_features
from nbest.plan.option_values import (
    OptionTable,
    after_pilot,
    values_of_best,
    values_of_vote,
    values_of_weighted_vote,
)
from nbest.plan.stop_replay import replay
from nbest.plan.trajectories import Floats, Trajectories, in_orders
from nbest.protocols import Sampler, Scorer
from nbest.records import read_outcomes
from nbest.sampling.hedged import Hedged
from nbest.selection.best import Best
from nbest.selection.vote import Vote
from nbest.strategies.parallel import Parallel
from nbest.strategies.revise import Revise
from nbest.types import Outcome, Usage

_FEWEST_FOR_ORACLE = 4
"""Draws that no option uses, for the oracle's difficulty to be of them alone."""


@dataclass(frozen=True, kw_only=True)
class PlanRuns:
    """Runs on the same prompts: one with a pool for each, others whole."""

    options: OptionTable
    pool: RecordedPools
    sampler: str
    """Spec of what drew the pool."""
    mean_length: float
    engines: tuple[str, ...]
    verifiers: tuple[str, ...]
    num_left_out: int
    """Prompts that not all runs have."""
    is_oracle_apart: bool
    """Whether the oracle's difficulty is of draws that no option uses."""
    fixed: tuple[int, ...]
    """Places of the options that are pools of a fixed size, chosen from by best-of-N weighted, or by vote where there is no
    verifier; the smallest first."""


class Wanted(NamedTuple):
    """What is made options of."""

    budgets: tuple[float, ...]
    pilot: int = 4
    verifier: Scorer | None = None
    """Scores draws: for difficulty, best-of-N and weighted votes."""
    stops: tuple[str, ...] = ()
    num_orders: int = 8
    seed: int = 0
    cluster: str | None = None


class _WholeRun(NamedTuple):
    """What was chosen by a strategy, by prompt id."""

    spec: str
    value_by_id: Mapping[str, float]
    tokens_by_id: Mapping[str, float]


async def read_options(
    runs: Sequence[str], scorer: Scorer, wanted: Wanted, *, on_prompt: Callable[[], object] = lambda: None
) -> PlanRuns:
    """Options and what they are worth. The run with the most draws a prompt is the pool; others are options as they are,
    and with fewer and shorter chains where they hold revisions.

    Raises `InputError` where no run holds a pool, or no prompt is in all runs.
    """
    pool_path, others = _split(runs)
    firsts = [next(iter(PoolsAt(pool_path)))]
    pool = await read_arrays(
        PoolsAt(pool_path),
        scorer,
        num_draws=wanted.pilot + 1,
        rule_scorer=wanted.verifier,
        cluster=wanted.cluster,
        on_prompt=on_prompt,
    )
    whole = [found for path in others for found in await _whole_runs(path, scorer, on_prompt)]
    common = [i for i, id_ in enumerate(pool.ids) if all(id_ in run.value_by_id for run in whole)]
    if not common:
        raise InputError("no prompt is in all runs: runs are matched by the ids of their prompts")

    table, fixed, is_apart = _table(pool, common, whole, _Drawn.of(pool_path), wanted)
    return PlanRuns(
        options=table,
        pool=pool,
        sampler=_Drawn.of(pool_path).sampler_spec,
        mean_length=_mean_length(pool),
        engines=_engines(firsts),
        verifiers=_verifiers([pool_path, *others]),
        num_left_out=len(pool.ids) - len(common),
        is_oracle_apart=is_apart,
        fixed=fixed,
    )


def _split(runs: Sequence[str]) -> tuple[str, list[str]]:
    """The run that is the pool, and the others. Raises `InputError` where none is one."""
    num_draws: list[int] = []
    for path in runs:
        first = next(iter(PoolsAt(path)), None)
        if first is None:
            raise InputError(f"{path} holds no pool")
        is_pool = not Path(path).is_dir() or bool(method_of(_strategy_of(path)).sampler)
        num_draws.append(len(first.candidates) if is_pool else 0)
    if max(num_draws, default=0) == 0:
        raise InputError(
            "none of the runs is a pool: record one, as with  nbest run … --strategy 'vote(n=32)'"
        )
    place = num_draws.index(max(num_draws))
    return runs[place], [path for i, path in enumerate(runs) if i != place]


def _strategy_of(path: str) -> str:
    return next(iter(read_outcomes(path))).strategy


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """How a pool was drawn."""

    sampler: Sampler
    tokens_per_draw: float
    """That other roles than the policy computed for each draw: a verifier that reads it."""

    @property
    def sampler_spec(self) -> str:
        return registry.spec_of(self.sampler)

    @classmethod
    def of(cls, path: str) -> _Drawn:
        """`hedged` where the record does not say."""
        if not Path(path).is_dir():
            return cls(sampler=Hedged(), tokens_per_draw=0.0)
        strategy: Any = registry.parse("strategies", _strategy_of(path))
        num_tokens = num_draws = 0
        for outcome in read_outcomes(path):
            num_tokens += _num_tokens(outcome.usage, is_policy=False)
            num_draws += len(outcome.candidates)
        return cls(sampler=strategy.sampler, tokens_per_draw=num_tokens / max(1, num_draws))

    def with_n(self, n: int) -> Sampler:
        return cast("Sampler", dataclasses.replace(cast("Any", self.sampler), n=n))


def _num_tokens(usage: Mapping[str, Usage], *, is_policy: bool) -> int:
    """Tokens that were computed: what the policy wrote, or what other roles read and wrote."""
    if is_policy:
        return usage.get("policy", Usage()).completion
    return sum(u.prompt + u.completion for role, u in usage.items() if role != "policy")


async def _whole_runs(path: str, scorer: Scorer, on_prompt: Callable[[], object]) -> list[_WholeRun]:
    """A run as an option, and what it holds of shorter chains."""
    value_by_id: dict[str, float] = {}
    tokens_by_id: dict[str, float] = {}
    outcomes: list[Outcome] = []
    spec = _strategy_of(path)
    for outcome in read_outcomes(path):
        measured = await ingest(outcome, scorer)
        on_prompt()
        if measured.value is None:
            continue
        value_by_id[outcome.prompt.id] = measured.value
        tokens_by_id[outcome.prompt.id] = float(
            _num_tokens(outcome.usage, is_policy=True) + _num_tokens(outcome.usage, is_policy=False)
        )
        outcomes.append(outcome)

    strategy: Any = registry.parse("strategies", spec)
    found = [_WholeRun(spec, value_by_id, tokens_by_id)]
    if isinstance(strategy, Revise):
        shorter = await sub_chains(strategy, outcomes, scorer)
        found += [_WholeRun(run.spec, run.value_by_id, run.tokens_by_id) for run in shorter]
    return found


def _table(
    pool: RecordedPools, common: list[int], whole: Sequence[_WholeRun], drawn: _Drawn, wanted: Wanted
) -> tuple[OptionTable, tuple[int, ...], bool]:
    """The options, the places of the pools of a fixed size, and whether the oracle's draws are apart."""
    arrays = pool.arrays
    num_draws = int(arrays.sizes_P[np.array(common)].min())
    one_by_one = in_orders(arrays, num_draws, num_orders=wanted.num_orders, seed=wanted.seed)
    in_waves = in_orders(arrays, num_draws, num_orders=wanted.num_orders, wave=wanted.pilot, seed=wanted.seed)
    rows = np.isin(one_by_one.prompts_T, np.array(common))
    one_by_one, in_waves = one_by_one.select(rows), in_waves.select(rows)
    most = min(num_draws, int(max(wanted.budgets)))
    sizes = _sizes(wanted, most)

    lengths_P = arrays.lengths_PN.sum(axis=1, dtype=np.float64) / arrays.sizes_P
    options = _PoolOptions(drawn, wanted, one_by_one, lengths_P[one_by_one.prompts_T])
    options.add_pools(sizes)
    fixed = tuple(range(len(options.specs) - len(sizes), len(options.specs)))
    for stop in wanted.stops:
        options.add_stop(stop, in_waves, [n for n in sizes if n > wanted.pilot])
    prompts: list[int] = one_by_one.prompts_T.tolist()
    ids_T = [pool.ids[p] for p in prompts]
    for run in whole:
        options.add_run(run, ids_T)

    is_apart = num_draws - most >= _FEWEST_FOR_ORACLE
    start = most if is_apart else wanted.pilot
    clusters_P = pool.clusters
    numbers = {p: i for i, p in enumerate(common)}
    places_T = one_by_one.prompts_T
    places: list[int] = places_T.tolist()
    table = OptionTable(
        specs=tuple(options.specs),
        values_TO=np.column_stack(options.values),
        tokens_TO=np.column_stack(options.tokens),
        answers_TO=np.column_stack(options.answers),
        features_TF=pilot_features(one_by_one, wanted.pilot, _mean_length(pool)),
        score_T=one_by_one.values_TK[:, wanted.pilot :].mean(axis=1, dtype=np.float64),
        oracle_T=one_by_one.values_TK[:, start:].mean(axis=1, dtype=np.float64),
        prompts_T=np.array([numbers[p] for p in places]),
        clusters_T=units_of([clusters_P[p] for p in places], len(places)),
        languages_T=tuple(arrays.languages_P[p] for p in places),
        tasks_T=tuple(arrays.tasks_P[p] for p in places),
    )
    return table, fixed, is_apart


def _sizes(wanted: Wanted, most: int) -> list[int]:
    """Sizes of pools: the pilot's, its doubles, and the budgets."""
    sizes = {wanted.pilot, most, *(int(b) for b in wanted.budgets)}
    n = wanted.pilot
    while n <= most:
        sizes.add(n)
        n *= 2
    return sorted(n for n in sizes if wanted.pilot <= n <= most)


class _PoolOptions:
    """Columns of the table: of pools and of whole runs, on the same trajectories."""

    def __init__(self, drawn: _Drawn, wanted: Wanted, trajectories: Trajectories, lengths_T: Floats) -> None:
        self._drawn, self._wanted, self._trajectories = drawn, wanted, trajectories
        self._pilot_tokens_T = trajectories.tokens[:, wanted.pilot - 1]
        self._lengths_T = lengths_T
        self.specs: list[str] = []
        self.values: list[Floats] = []
        self.tokens: list[Floats] = []
        self.answers: list[Floats] = []

    def add_pools(self, sizes: Sequence[int]) -> None:
        """Vote; with a verifier best-of-N and, last, best-of-N weighted too."""
        verifier = self._wanted.verifier
        ways: list[tuple[Any, Callable[[Trajectories, Sequence[int]], Floats], float]] = [
            (Vote(), values_of_vote, 0.0)
        ]
        if verifier is not None:
            extra = self._drawn.tokens_per_draw
            ways.append((Best(scorer=verifier), values_of_best, extra))
            ways.append((Vote(weight=verifier), values_of_weighted_vote, extra))
        for selector, values_of, tokens_per_draw in ways:
            values_TS = values_of(self._trajectories, sizes)
            for i, n in enumerate(sizes):
                strategy = Parallel(sampler=self._drawn.with_n(n), selector=selector)
                read_T = n * tokens_per_draw / self._lengths_T
                tokens_T = self._trajectories.tokens[:, n - 1] + n * tokens_per_draw
                self._add(registry.spec_of(strategy), values_TS[:, i], tokens_T, n + read_T)

    def add_stop(self, stop: str, in_waves: Trajectories, sizes: Sequence[int]) -> None:
        """A rule, asked after the pilot at the earliest, over pools of each size at most."""
        rule = registry.parse("stops", stop)
        for n in sizes:
            strategy = Parallel(
                sampler=self._drawn.with_n(n), selector=Vote(), stop=rule, wave=self._wanted.pilot
            )
            found = replay(rule, in_waves)
            found = found._replace(arrivals_T=np.minimum(found.arrivals_T, n))
            values_T, tokens_T = after_pilot(found, in_waves, self._wanted.pilot)
            self._add(registry.spec_of(strategy), values_T, tokens_T, tokens_T / self._lengths_T)

    def add_run(self, run: _WholeRun, ids_T: Sequence[str]) -> None:
        """A strategy that does not go on from the pilot's draws, which come on top."""
        values_T = np.array([run.value_by_id[id_] for id_ in ids_T])
        own_T = np.array([run.tokens_by_id[id_] for id_ in ids_T])
        answers_T = own_T / self._lengths_T + self._wanted.pilot
        self._add(run.spec, values_T, own_T + self._pilot_tokens_T, answers_T)

    def _add(self, spec: str, values_T: Floats, tokens_T: Floats, answers_T: Floats) -> None:
        if spec not in self.specs:
            self.specs.append(spec)
            self.values.append(values_T.astype(np.float64))
            self.tokens.append(tokens_T.astype(np.float64))
            self.answers.append(answers_T.astype(np.float64))


def _mean_length(pool: RecordedPools) -> float:
    """Output tokens of a draw, as the mean over prompts of their means."""
    arrays = pool.arrays
    return float((arrays.lengths_PN.sum(axis=1, dtype=np.float64) / arrays.sizes_P).mean())


def _engines(pools: Sequence[Pool]) -> tuple[str, ...]:
    names = {c.engine for pool in pools for c in pool.candidates if c.engine is not None}
    return tuple(sorted(names))


def _verifiers(paths: Sequence[str]) -> tuple[str, ...]:
    """Engines that scored, as the first outcome of each run says."""
    outcomes = [next(iter(read_outcomes(path))) for path in paths if Path(path).is_dir()]
    return tuple(sorted({s.engine for o in outcomes for s in o.spent if s.role == "verifier"}))
