"""A figure, and the means that several of them show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nbest.evaluate.estimators import Estimate, mean_interval
from nbest.evaluate.scores import is_accuracy
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


class Mean(NamedTuple):
    """A mean over prompts."""

    estimate: Estimate
    num_prompts: int

    def text(self, scale: Scale, *, of: int, signed: bool = False) -> str:
        """`12.3 [10.1, 14.5]`, and over how many prompts where that is not `of`, what the row or column has."""
        shown = scale.interval(self.estimate, signed=signed)
        if self.num_prompts != of:
            shown += f" of {self.num_prompts}"
        return shown


def baseline_of(found: Findings, given: str | None) -> Run | None:
    """The run that the others are compared with: the one given by name or label, else greedy, else the first.

    None where nothing is scored. Raises `InputError` for a name that no run has.
    """
    if given is not None:
        return found.run(given)
    scored = [r for r in found.runs if r.values]
    if not scored:
        return None
    return next((r for r in scored if r.spec.partition("(")[0] in _BASELINES), scored[0])


def score_scale(found: Findings) -> Scale:
    """How this report's scores are written."""
    return Scale.of(found.score, [v for r in found.runs for v in r.values.values()])


def mean_of(found: Findings, run: Run, numbers: Sequence[int]) -> Mean | None:
    """A run's score, over those of the prompts `numbers` that have one; None where none has."""
    values = {i: run.values[i] for i in numbers if i in run.values}
    return _mean(found, values, is_share=is_accuracy(found.score))


def gain_of(found: Findings, run: Run, against: Run, numbers: Sequence[int]) -> Mean | None:
    """Paired difference over the prompts that both have a score of."""
    shared = run.values.keys() & against.values.keys()
    differences = {i: run.values[i] - against.values[i] for i in numbers if i in shared}
    return _mean(found, differences, is_share=False)


def _mean(found: Findings, values: Mapping[int, float], *, is_share: bool) -> Mean | None:
    if not values:
        return None
    clusters = [found.clusters[i] for i in values]
    estimate = mean_interval(np.array(list(values.values())), clusters=clusters, is_share=is_share)
    return Mean(estimate, len(values))
