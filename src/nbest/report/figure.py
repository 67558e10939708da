"""A figure, and the numbers that several of them are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nbest.evaluate.estimators import Estimate, mean_interval
from nbest.evaluate.scores import ACCURACY
from nbest.report.findings import Findings, Run
from nbest.report.svg import Svg
from nbest.report.table import Scale, Table

_BASELINES = ("first", "greedy")


class Figure(NamedTuple):
    """A figure and the numbers in it."""

    name: str
    """For file names and links."""
    title: str
    caption: str
    drawing: Svg | None
    tables: Sequence[Table]


def baseline_of(found: Findings, given: str | None) -> Run | None:
    """The run that the others are compared with: the one given by name or label, else greedy, else the first.

    None where nothing is scored. Raises `InputError` for a name that no run has.
    """
    scored = [r for r in found.runs if r.values]
    if given is not None:
        return found.run(given)
    if not scored:
        return None
    return next((r for r in scored if r.spec.partition("(")[0] in _BASELINES), scored[0])


def score_scale(found: Findings) -> Scale:
    """How this report's scores are written."""
    return Scale.of(found.score, [v for r in found.runs for v in r.values.values()])


def mean_of(found: Findings, run: Run, numbers: Sequence[int]) -> Estimate | None:
    """A run's score, over those of `numbers` that have one; None where none has."""
    return _mean(
        found, {i: run.values[i] for i in numbers if i in run.values}, is_share=found.score == ACCURACY
    )


def gain_of(found: Findings, run: Run, against: Run, numbers: Sequence[int]) -> Estimate | None:
    """Paired difference over the prompts that both have."""
    both = {i: run.values[i] - against.values[i] for i in numbers if i in run.values and i in against.values}
    return _mean(found, both, is_share=False)


def _mean(found: Findings, values: Mapping[int, float], *, is_share: bool) -> Estimate | None:
    if not values:
        return None
    clusters = [found.clusters[i] for i in values]
    return mean_interval(np.array(list(values.values())), clusters=clusters, is_share=is_share)
