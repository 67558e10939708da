"""Measured runs, summed up: means with intervals by language, task or difficulty, and differences between runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from nbest.errors import InputError
from nbest.evaluate.confidence import Bools, Floats, Ints
from nbest.evaluate.estimators import difficulty_bins
from nbest.evaluate.intervals import codes, group_intervals
from nbest.evaluate.prompt_index import PromptIndex
from nbest.evaluate.runs import Measured
from nbest.evaluate.scores import is_share
from nbest.evaluate.significance import holm, paired_difference
from nbest.types import Usage, Value, replace

By = Literal["language", "task", "difficulty"]
"""What prompts are put together by."""

ALL: Final = "all"
MACRO: Final = "macro"
"""The mean of the groups' means: each language counts the same, however many prompts it has."""
UNKNOWN: Final = "?"
BINS: Final = ("1 easiest", "2", "3", "4", "5 hardest")
SCORE: Final = "score"
_MANY_CLUSTERS: Final = 20_000
"""From here on there are fewer resamples."""


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


class RunFacts(Value, frozen=True, kw_only=True, omit_defaults=True):
    """How a run was measured."""

    run: str
    scorer: str | None
    cluster: str | None
    """Column of the rows whose equal values stand together; None where prompts stand alone."""
    scoring: Mapping[str, Usage] = {}
    """What scoring the answers has spent now, by role: a judge that compares them with gold."""
    scoring_notes: tuple[str, ...] = ()
    """What the scorer remarked."""


class Evaluation(Value, frozen=True, kw_only=True):
    """What `nbest eval` prints."""

    by: By
    runs: tuple[RunFacts, ...]
    groups: tuple[Group, ...]
    changes: tuple[Change, ...]


class _Run(NamedTuple):
    """A run with the numbers of its prompts, which other runs share."""

    measured: Measured
    numbers: list[int]


def evaluate(runs: Sequence[Measured], *, by: By = "language", seed: int = 0) -> Evaluation:
    """Sums up runs, and compares each with the first.

    Prompts of several runs are the same where they ask the same (`PromptIndex`). Difficulty is the first run's
    pass@1 of the prompt (oracle difficulty, Snell et al. 2024, §3.2), in five quantile bins that all runs share.
    2000 bootstrap resamples, 1000 beyond 20 000 clusters. Raises `InputError` for an empty run, one without
    draws to tell difficulty from, scores of different kinds, or an id that names different prompts.
    """
    _check(runs)
    index = PromptIndex()
    numbered: list[_Run] = []
    for run in runs:
        number_by_id = index.add(run.name, dict(zip(run.ids, run.contents, strict=True)))
        numbered.append(_Run(run, [number_by_id[id_] for id_ in run.ids]))

    bins = {}
    if by == "difficulty":
        bins = _bins(numbered[0])
    labels = [_labels(run, by, bins) for run in numbered]
    groups = [g for run, of in zip(runs, labels, strict=True) for g in _groups(run, of, by, seed)]
    changes = [c for run in numbered[1:] for c in _changes(run, numbered[0], labels[0], seed)]
    corrected = holm([c.p for c in changes])
    return Evaluation(
        by=by,
        runs=tuple(map(_facts, runs)),
        groups=tuple(groups),
        changes=tuple(replace(c, p_holm=p) for c, p in zip(changes, corrected, strict=True)),
    )


def _facts(run: Measured) -> RunFacts:
    return RunFacts(
        run=run.name,
        scorer=run.scorer,
        cluster=run.cluster_column,
        scoring=run.scoring.usage,
        scoring_notes=run.scoring.notes,
    )


def _check(runs: Sequence[Measured]) -> None:
    empty = next((run for run in runs if not run.ids), None)
    if empty is not None:
        raise InputError(f"{empty.name} holds no outcome")
    kinds = {run.scorer for run in runs}
    if len(kinds) > 1:
        listed = ", ".join(map(str, sorted(kinds, key=str)))
        raise InputError(f"the runs are measured differently ({listed}): name one `score` for all")


def _bins(run: _Run) -> dict[int, str]:
    columns = run.measured.columns
    column = columns.get("pass@1", columns.get("max@1"))
    if column is None:
        raise InputError(
            f"{run.measured.name}: difficulty is pass@1 of recorded draws, and none could be measured"
        )
    values, known = column
    found = iter(difficulty_bins(values[known], len(BINS)).tolist())
    return {number: BINS[next(found)] for number, has in zip(run.numbers, known, strict=True) if has}


def _labels(run: _Run, by: By, bins: Mapping[int, str]) -> list[str]:
    if by == "difficulty":
        return [bins.get(number, UNKNOWN) for number in run.numbers]
    keys = run.measured.languages if by == "language" else run.measured.tasks
    return [key or UNKNOWN for key in keys]


def _groups(run: Measured, labels: Sequence[str], by: By, seed: int) -> Iterator[Group]:
    names = sorted(run.columns)
    order = sorted(set(labels))
    number = {label: i for i, label in enumerate(order)}
    groups_P: Ints = np.array([number[label] for label in labels], dtype=np.intp)
    clusters_P = codes(run.clusters)
    values_PM: Floats = np.stack([run.columns[name][0] for name in names], axis=1)
    known_PM: Bools = np.stack([run.columns[name][1] for name in names], axis=1)
    found = group_intervals(
        values_PM,
        known_PM,
        groups_P=groups_P,
        clusters_P=clusters_P,
        are_shares=[is_share(name, run.scorer) for name in names],
        seed=seed,
        resamples=_num_resamples(int(clusters_P.max()) + 1),
    )

    parts = [(label, groups_P == g, found.groups[g]) for g, label in enumerate(order)]
    everything = np.ones(len(labels), dtype=bool)
    if len(order) > 1 and by != "difficulty":
        parts.append((MACRO, everything, found.macro))
    if len(order) > 1 or not parts:
        parts.append((ALL, everything, found.all))
    for label, rows_P, estimates in parts:
        num_known_M = known_PM[rows_P].sum(axis=0)
        yield Group(
            run=run.name,
            group=label,
            num_prompts=int(rows_P.sum()),
            num_clusters=np.unique(clusters_P[rows_P]).size,
            cells={
                name: Cell(**estimate._asdict(), num_prompts=int(num_known))
                for name, estimate, num_known in zip(names, estimates, num_known_M, strict=True)
                if estimate is not None
            },
        )


def _num_resamples(num_clusters: int) -> int:
    if num_clusters > _MANY_CLUSTERS:
        return 1000
    return 2000


def _changes(run: _Run, first: _Run, labels: Sequence[str], seed: int) -> Iterator[Change]:
    """Per group and over all, on the prompts that both runs have a score of; groups and clusters are the first's."""
    ours, theirs = run.measured.columns.get(SCORE), first.measured.columns.get(SCORE)
    if ours is None or theirs is None:
        return
    pairs = _pairs(run, first, ours[1], theirs[1])
    order = sorted({labels[at_first] for _, at_first in pairs})
    for group in (*order, ALL) if len(order) > 1 else (ALL,):
        chosen = [pair for pair in pairs if group in {ALL, labels[pair[1]]}]
        if not chosen:
            continue
        at_run, at_first = [i for i, _ in chosen], [j for _, j in chosen]
        difference = paired_difference(
            ours[0][at_run],
            theirs[0][at_first],
            clusters=[first.measured.clusters[j] for j in at_first],
            seed=seed,
            resamples=_num_resamples(len(chosen)),
        )
        yield Change(
            run=run.measured.name,
            group=group,
            num_prompts=len(chosen),
            value=difference.value,
            low=difference.low,
            high=difference.high,
            p=difference.p,
            p_holm=difference.p,
        )


def _pairs(run: _Run, first: _Run, known_here: Bools, known_first: Bools) -> list[tuple[int, int]]:
    """Places in both runs of the prompts that both have a score of, in the first's order."""
    place = {number: i for i, number in enumerate(run.numbers)}
    shared = [(place[number], j) for j, number in enumerate(first.numbers) if number in place]
    return [(i, j) for i, j in shared if known_here[i] and known_first[j]]
