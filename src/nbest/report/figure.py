"""A figure, and the numbers that several of them are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nbest.evaluate.estimators import Estimate, mean_interval
from nbest.report.gather import Findings, Run
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


def mean_of(found: Findings, values: Mapping[int, float], numbers: Sequence[int]) -> Estimate | None:
    """Over those of `numbers` that have a value; None where none has."""
    kept = [i for i in numbers if i in values]
    if not kept:
        return None
    return mean_interval(np.array([values[i] for i in kept]), clusters=[found.clusters[i] for i in kept])


def gain_of(found: Findings, run: Run, against: Run, numbers: Sequence[int]) -> Estimate | None:
    """Paired difference over the prompts that both have."""
    both = {i: run.values[i] - against.values[i] for i in numbers if i in run.values and i in against.values}
    return mean_of(found, both, list(both))
