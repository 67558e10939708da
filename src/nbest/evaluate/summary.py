"""Measured runs, summed up: means with intervals by language, task or difficulty, and differences between runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import numpy as np

from nbest.errors import InputError
from nbest.evaluate.estimators import difficulty_bins
from nbest.evaluate.intervals import Bools, Floats, Ints, codes, group_intervals
from nbest.evaluate.measures import is_share
from nbest.evaluate.runs import Measured
from nbest.evaluate.significance import holm, paired_difference
from nbest.types import Value, replace

By = Literal["language", "task", "difficulty"]
"""What prompts are put together by."""

ALL: Final = "all"
MACRO: Final = "macro"
"""The mean of the groups' means: each language counts the same, however many prompts it has."""
UNKNOWN: Final = "?"
BINS: Final = ("1 easiest", "2", "3", "4", "5 hardest")
SCORE: Final = "score"
_MANY_CLUSTERS: Final = 20_000


class Cell(Value, frozen=True, kw_only=True):
    """A mean over the prompts that have the measure, with its 95 % interval."""

    value: float
    low: float | None
    """None where a single prompt or cluster, of all or of a group in a macro average, leaves nothing to tell."""
    high: float | None
    num_prompts: int


class Group(Value, frozen=True, kw_only=True):
    """One run's prompts of one language, task or difficulty; of all; or the mean of these groups."""

    run: str
    group: str
    num_prompts: int
    num_clusters: int
    cells: Mapping[str, Cell]
    """By measure."""


class Change(Value, frozen=True, kw_only=True):
    """Mean difference of a run's scores from the first run's, over prompts that both have."""

    run: str
    group: str
    num_prompts: int
    value: float
    low: float | None
    high: float | None
    p: float
    """Paired sign-flip test."""
    p_holm: float
    """Corrected for all differences of this evaluation (Holm 1979)."""


class RunFacts(Value, frozen=True, kw_only=True):
    """How a run was measured."""

    run: str
    scorer: str | None
    cluster: str | None
    """Column of the rows whose equal values stand together; None where prompts stand alone."""


class Evaluation(Value, frozen=True, kw_only=True):
    """What `nbest eval` prints."""

    by: By
    runs: tuple[RunFacts, ...]
    groups: tuple[Group, ...]
    changes: tuple[Change, ...]


def evaluate(runs: Sequence[Measured], *, by: By = "language", seed: int = 0) -> Evaluation:
    """Sums up runs, and compares each with the first.

    Difficulty is the first run's pass@1 of the prompt (oracle difficulty, Snell et al. 2024, §3.2), in
    five quantile bins that all runs share. 2000 bootstrap resamples, 1000 beyond 20 000 clusters. Raises
    `InputError` for an empty run, one without draws to tell difficulty from, or scores of different kinds.
    """
    if empty := next((run for run in runs if not run.ids), None):
        raise InputError(f"{empty.name} holds no outcome")
    kinds = {run.scorer for run in runs}
    if len(kinds) > 1:
        raise InputError(
            f"the runs are measured differently ({', '.join(map(str, sorted(kinds, key=str)))}): say how with  --score"
        )
    bins = _bins(runs[0]) if by == "difficulty" else {}
    labels = [_labels(run, by, bins) for run in runs]
    groups = [g for run, of in zip(runs, labels, strict=True) for g in _groups(run, of, by, seed)]
    changes = [c for run in runs[1:] for c in _changes(run, runs[0], labels[0], seed)]
    corrected = holm([c.p for c in changes])
    return Evaluation(
        by=by,
        runs=tuple(RunFacts(run=r.name, scorer=r.scorer, cluster=r.cluster_column) for r in runs),
        groups=tuple(groups),
        changes=tuple(replace(c, p_holm=p) for c, p in zip(changes, corrected, strict=True)),
    )


def _bins(run: Measured) -> dict[str, str]:
    column = run.columns.get("pass@1", run.columns.get("max@1"))
    if column is None:
        raise InputError(f"{run.name}: difficulty is pass@1 of recorded draws, and none could be measured")
    values, known = column
    found = iter(difficulty_bins(values[known], len(BINS)).tolist())
    return {id_: BINS[next(found)] for id_, has in zip(run.ids, known, strict=True) if has}


def _labels(run: Measured, by: By, bins: Mapping[str, str]) -> list[str]:
    if by == "difficulty":
        return [bins.get(id_, UNKNOWN) for id_ in run.ids]
    return [key or UNKNOWN for key in (run.languages if by == "language" else run.tasks)]


def _groups(run: Measured, labels: Sequence[str], by: By, seed: int) -> Iterator[Group]:
    names = sorted(run.columns)
    order = sorted(set(labels))
    number = {label: i for i, label in enumerate(order)}
    groups_P: Ints = np.array([number[label] for label in labels], dtype=np.intp)
    clusters_P = codes(run.clusters)
    values_PM: Floats = np.stack([run.columns[name][0] for name in names], axis=1)
    known_PM: Bools = np.stack([run.columns[name][1] for name in names], axis=1)
    many = int(clusters_P.max()) >= _MANY_CLUSTERS
    found = group_intervals(
        values_PM,
        known_PM,
        groups_P=groups_P,
        clusters_P=clusters_P,
        are_shares=[is_share(name, run.scorer) for name in names],
        seed=seed,
        resamples=1000 if many else 2000,
    )
    parts = [(label, groups_P == g, found.groups[g]) for g, label in enumerate(order)]
    everything = np.ones(len(labels), dtype=bool)
    if len(order) > 1 and by != "difficulty":
        parts.append((MACRO, everything, found.macro))
    if len(order) > 1 or not parts:
        parts.append((ALL, everything, found.all))
    for label, rows_P, estimates in parts:
        cells = {
            name: Cell(**estimate._asdict(), num_prompts=int(known_PM[rows_P, m].sum()))
            for m, (name, estimate) in enumerate(zip(names, estimates, strict=True))
            if estimate is not None
        }
        yield Group(
            run=run.name,
            group=label,
            num_prompts=int(rows_P.sum()),
            num_clusters=np.unique(clusters_P[rows_P]).size,
            cells=cells,
        )


def _changes(run: Measured, first: Measured, labels: Sequence[str], seed: int) -> Iterator[Change]:
    """Per group and over all, on the prompts that both runs have a score of; groups and clusters are the first's."""
    if SCORE not in run.columns or SCORE not in first.columns:
        return
    place = {id_: i for i, id_ in enumerate(run.ids)}
    (ours, we_know), (theirs, they_know) = run.columns[SCORE], first.columns[SCORE]
    pairs = [(place[id_], i) for i, id_ in enumerate(first.ids) if id_ in place and they_know[i]]
    pairs = [(i, j) for i, j in pairs if we_know[i]]
    order = sorted({labels[j] for _, j in pairs})
    for group in (*order, ALL) if len(order) > 1 else (ALL,):
        mine = [(i, j) for i, j in pairs if group in {ALL, labels[j]}]
        if not mine:
            continue
        at_run, at_first = [i for i, _ in mine], [j for _, j in mine]
        clusters = [first.clusters[j] for j in at_first]
        d = paired_difference(
            ours[at_run], theirs[at_first], clusters=clusters, seed=seed,
            resamples=1000 if len(mine) >= _MANY_CLUSTERS else 2000,
        )  # fmt: skip
        yield Change(
            run=run.name,
            group=group,
            num_prompts=len(mine),
            value=d.value,
            low=d.low,
            high=d.high,
            p=d.p,
            p_holm=d.p,
        )
