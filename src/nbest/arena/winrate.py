"""Win-rates from recorded verdicts: against a baseline, over several systems, at equal length and style.

Everything here is computed from records. The unit is the cluster of prompts: translations of one prompt
are not independent, and neither are its two games. Dimensions as in `ranking`, and L languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nbest.arena.battles import (
    STYLE_FEATURES,
    Nulls,
    Pair,
    Table,
    clusters_of,
    length_feature,
    pairs_of,
    style_features,
    table_of,
)
from nbest.arena.judge_report import JudgeReport, judge_report
from nbest.arena.judged_games import Verdict
from nbest.arena.rates import Rates, SystemRates
from nbest.errors import InputError
from nbest.evaluate.confidence import Estimate, Floats
from nbest.evaluate.intervals import resampled_clusters
from nbest.types import Value, replace


class WinRates(Value, frozen=True, kw_only=True):
    """The whole analysis."""

    baseline: str
    systems: tuple[SystemRates, ...]
    judge: JudgeReport
    num_clusters: int
    cluster: str | None
    """The column of the clusters; None: every prompt stands for itself."""
    length_effect: Estimate | None = None
    """Coefficient of length; above 0 the judge prefers the longer answer."""
    style_effects: Mapping[str, Estimate] = {}
    unanswered: Mapping[str, int] = {}
    """Prompts that a system has no answer to; they are judged for nobody."""
    notes: tuple[str, ...] = ()

    @property
    def units(self) -> str:
        """What intervals are over, for a reader."""
        if self.cluster is None:
            return "prompts"
        return f"clusters of prompts ({self.cluster})"


def win_rates(
    verdicts: Sequence[Verdict],
    *,
    baseline: str | None = None,
    cluster: str | None = None,
    nulls: Nulls = "skip",
    unanswered: Mapping[str, int] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> WinRates:
    """All figures from the same `resamples` of clusters of prompts.

    `baseline` is the name of a system, by default the first in alphabetical order; `cluster` a column of
    the prompts. Raises `InputError` where the baseline is not among the systems or rows lack the column.
    """
    systems = sorted({s for v in verdicts for s in v.systems})
    if not systems:
        raise InputError("there is no verdict to read")
    base = baseline or systems[0]
    if base not in systems:
        raise InputError(f"no system is called {base!r}; known: {', '.join(systems)}")
    clusters, column = clusters_of(verdicts, cluster)
    pairs = pairs_of(verdicts)
    table = _table(pairs, systems, clusters, nulls)
    judged = judge_report(verdicts, pairs, clusters, resamples=resamples, seed=seed)
    notes = _notes(table, judged, column, nulls)
    num_lone = len(verdicts) - 2 * len(pairs)
    if num_lone:
        notes.append(f"{num_lone} games have no counterpart in the other order yet: left out")
    known = WinRates(
        baseline=base,
        systems=tuple(SystemRates(system=s, num_pairs=0) for s in systems),
        judge=judged,
        num_clusters=0,
        cluster=column,
        unanswered=unanswered or {},
        notes=tuple(notes),
    )
    if not table.pairs:
        return known

    def resampled() -> Iterable[Floats]:
        return resampled_clusters(table.num_clusters, resamples=resamples, seed=seed)

    controls = {"length": length_feature(table), "style": style_features(table)}
    rates = Rates(table, systems.index(base), resampled, controls=controls)
    return replace(
        known,
        systems=tuple(rates.row(i) for i in range(len(systems))),
        num_clusters=table.num_clusters,
        length_effect=rates.effects("length")[0],
        style_effects=dict(zip(STYLE_FEATURES, rates.effects("style"), strict=True)),
        notes=(*notes, *rates.notes),
    )


def _table(pairs: Sequence[Pair], systems: Sequence[str], clusters: Mapping[str, str], nulls: Nulls) -> Table:
    """The battles that count; none where all of them are ties between equal texts while others have no verdict.

    Such ties alone would say 50 %, and nothing of the answers that differ.
    """
    table = table_of(pairs, systems, clusters, nulls=nulls)
    if any(p.is_asked for p in pairs) and not any(p.is_asked for p in table.pairs):
        return table_of([], systems, clusters, nulls=nulls)
    return table


def _notes(table: Table, judged: JudgeReport, column: str | None, nulls: Nulls) -> list[str]:
    notes: list[str] = []
    if judged.num_pairs_left_out and not table.pairs:
        notes.append("not one pair of different answers has both verdicts: nothing is known")
    if judged.num_pairs_left_out:
        done = "left out"
        if nulls == "tie":
            done = "counted as ties"
        notes.append(
            f"{judged.num_pairs_left_out} pairs have a game without a verdict; {done} (nulls says which)"
        )
    if column is None and len(table.languages) > 1:
        notes.append(
            "prompts of several languages, and no column says which are translations of each other:"
            " each is taken as independent; name one as `cluster`"
        )
    return notes
