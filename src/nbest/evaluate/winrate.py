"""Win-rates from recorded verdicts: against a baseline, over several systems, at equal length and style.

Everything here is computed from records. The unit is the cluster of prompts: translations of one prompt
are not independent, and neither are its two games. Dimensions as in `ranking`, and L languages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import fsum

import numpy as np

from nbest.errors import InputError
from nbest.evaluate.battles import (
    STYLE_FEATURES,
    Nulls,
    Table,
    clusters_of,
    length_feature,
    pairs_of,
    style_features,
    table_of,
)
from nbest.evaluate.intervals import Estimate, resampled_clusters, tail
from nbest.evaluate.judge_report import JudgeReport, judge_report
from nbest.evaluate.ranking import Floats, bradley_terry, controlled, share_estimate, win_probability
from nbest.evaluate.style import style
from nbest.evaluate.verdicts import Verdict
from nbest.types import Value

_COLLINEAR = 30.0
"""Condition number above which regression coefficients cannot be told apart (Belsley et al. 1980)."""


class SystemRates(Value, frozen=True, kw_only=True):
    """One system against the baseline. Shares of points with 95 % intervals; None where nothing is known."""

    system: str
    num_pairs: int
    """Prompts on which it met the baseline and both games count."""
    win_rate: Estimate | None = None
    """Points won / points, `>>` as three games, a tie as half a one."""
    by_language: Mapping[str, Estimate] = {}
    macro: Estimate | None = None
    """Mean over the languages."""
    bradley_terry: Estimate | None = None
    """P(beats the baseline) by its Bradley–Terry strength, from its games against all systems."""
    length_controlled: Estimate | None = None
    style_controlled: Estimate | None = None
    mean_length: float | None = None
    """Of its answers, in characters."""


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
    base = systems[0] if baseline is None else baseline
    if base not in systems:
        raise InputError(f"no system is called {base!r}; known: {', '.join(systems)}")
    clusters, column = clusters_of(verdicts, cluster)
    pairs = pairs_of(verdicts)
    table = table_of(pairs, systems, clusters, nulls=nulls)

    def resampled() -> Iterable[Floats]:
        return resampled_clusters(table.num_clusters, resamples=resamples, seed=seed)

    judged = judge_report(verdicts, pairs, clusters, resamples=resamples, seed=seed)
    notes = _notes(table, judged, column, nulls)
    if not table.pairs:
        rows = tuple(SystemRates(system=s, num_pairs=0) for s in systems)
        return WinRates(
            baseline=base,
            systems=rows,
            judge=judged,
            num_clusters=0,
            cluster=column,
            unanswered=unanswered or {},
            notes=tuple(notes),
        )
    rates = _Rates(table, systems.index(base), resampled)
    return WinRates(
        baseline=base,
        systems=tuple(rates.row(i) for i in range(len(systems))),
        judge=judged,
        num_clusters=table.num_clusters,
        cluster=column,
        length_effect=rates.effects(rates.length)[0],
        style_effects=dict(zip(STYLE_FEATURES, rates.effects(rates.style), strict=True)),
        unanswered=unanswered or {},
        notes=(*notes, *rates.notes),
    )


class _Rates:
    """The estimates and their resamples, computed once for all systems."""

    def __init__(self, table: Table, baseline: int, resampled: Callable[[], Iterable[Floats]]) -> None:
        self.table, self.baseline = table, baseline
        num_systems, num_languages = len(table.systems), len(table.languages)
        b = table.battles
        points_KLSS = np.zeros((table.num_clusters, num_languages, num_systems, num_systems))
        np.add.at(points_KLSS, (b.cluster_N, table.language_N, b.first_N, b.second_N), b.won_N)
        np.add.at(points_KLSS, (b.cluster_N, table.language_N, b.second_N, b.first_N), b.lost_N)
        flat = points_KLSS.reshape(table.num_clusters, -1)
        drawn = np.concatenate([weights_BK @ flat for weights_BK in resampled()])
        self.points_KLSS = points_KLSS
        self.drawn_RLSS = drawn.reshape(-1, num_languages, num_systems, num_systems)
        self.strengths = bradley_terry(points_KLSS.sum(axis=(0, 1)))
        self.drawn_strengths = bradley_terry(self.drawn_RLSS.sum(axis=1))
        self.length, self.style = (
            (controlled(b, z, num_systems)[0], controlled(b, z, num_systems, resampled()))
            for z in (length_feature(table), style_features(table))
        )
        self.notes = self._collinear()

    def row(self, i: int) -> SystemRates:
        """One system; the baseline's own has no rates."""
        name = self.table.systems[i]
        lengths = [
            style(text).length
            for p in self.table.pairs
            for system, text in zip(p.games[0].systems, p.games[0].texts, strict=True)
            if system == name
        ]
        mean_length = fsum(lengths) / len(lengths) if lengths else None
        met_KL = self.points_KLSS[:, :, [i, self.baseline], [self.baseline, i]].sum(axis=2)
        if i == self.baseline or not met_KL.any():
            return SystemRates(system=name, num_pairs=0, mean_length=mean_length)
        seats = {name, self.table.systems[self.baseline]}
        by_language = {
            code: found
            for k, code in enumerate(self.table.languages)
            if (found := self._share(i, [k], int((met_KL[:, k] > 0).sum())))
        }
        num_clusters = int((met_KL.sum(axis=1) > 0).sum())
        return SystemRates(
            system=name,
            num_pairs=sum({p.a, p.b} == seats for p in self.table.pairs),
            win_rate=self._share(i, range(len(self.table.languages)), num_clusters),
            by_language=by_language,
            macro=self._macro(i, [self.table.languages.index(c) for c in by_language], num_clusters),
            bradley_terry=self._modelled(self.strengths, self.drawn_strengths, i),
            length_controlled=self._modelled(*self.length, i),
            style_controlled=self._modelled(*self.style, i),
            mean_length=mean_length,
        )

    def effects(self, fit: tuple[Floats, Floats]) -> list[Estimate]:
        """The coefficients behind the strengths."""
        cut = tail(self.table.num_clusters)
        found: list[Estimate] = []
        for p in range(len(self.table.systems), fit[0].size):
            low, high = np.quantile(fit[1][:, p], [cut, 1 - cut])
            found.append(Estimate(float(fit[0][p]), float(low), float(high)))
        return found

    def _share(self, i: int, languages: Iterable[int], num_clusters: int) -> Estimate | None:
        at = list(languages)
        won = self.points_KLSS[:, at, i, self.baseline].sum()
        lost = self.points_KLSS[:, at, self.baseline, i].sum()
        if won + lost == 0:
            return None
        won_R = self.drawn_RLSS[:, at, i, self.baseline].sum(axis=1)
        games_R = won_R + self.drawn_RLSS[:, at, self.baseline, i].sum(axis=1)
        has_games = games_R > 0
        return share_estimate(float(won / (won + lost)), won_R[has_games] / games_R[has_games], num_clusters)

    def _macro(self, i: int, languages: Sequence[int], num_clusters: int) -> Estimate | None:
        """Mean over languages; a resample without one of them takes the mean of the others."""
        if not languages:
            return None
        won_RL = self.drawn_RLSS[:, languages, i, self.baseline]
        games_RL = won_RL + self.drawn_RLSS[:, languages, self.baseline, i]
        shares_RL = np.divide(won_RL, games_RL, out=np.zeros_like(won_RL), where=games_RL > 0)
        has_R = (games_RL > 0).sum(axis=1)
        won_L: Floats = self.points_KLSS[:, languages, i, self.baseline].sum(axis=0)
        games_L: Floats = won_L + self.points_KLSS[:, languages, self.baseline, i].sum(axis=0)
        sampled_R = shares_RL[has_R > 0].sum(axis=1) / has_R[has_R > 0]
        return share_estimate(float(np.mean(won_L / games_L)), sampled_R, num_clusters)

    def _modelled(self, theta: Floats, drawn: Floats, i: int) -> Estimate:
        return share_estimate(
            float(win_probability(theta, i, self.baseline)),
            win_probability(drawn, i, self.baseline),
            self.table.num_clusters,
        )

    def _collinear(self) -> list[str]:
        """Where one system's answers always differ in style alike, style and strength are one."""
        b, num_systems = self.table.battles, len(self.table.systems)
        who = np.eye(num_systems)[b.first_N] - np.eye(num_systems)[b.second_N]
        who = np.delete(who, self.baseline, axis=1)
        notes: list[str] = []
        for name, z in (("length", length_feature(self.table)), ("style", style_features(self.table))):
            x = np.hstack([who, z[:, np.any(z != 0, axis=0)]])
            x = x[:, np.any(x != 0, axis=0)]
            if np.linalg.cond(x / np.linalg.norm(x, axis=0)) > _COLLINEAR:
                notes.append(
                    f"{name} and system go together in these answers: the {name}-controlled win-rate is"
                    " a guess, whatever its interval says"
                )
        return notes


def _notes(table: Table, judged: JudgeReport, column: str | None, nulls: Nulls) -> list[str]:
    notes: list[str] = []
    if judged.num_pairs_left_out:
        done = "counted as ties" if nulls == "tie" else "left out"
        notes.append(
            f"{judged.num_pairs_left_out} pairs have a game without a verdict; {done} (--nulls decides)"
        )
    if column is None and len(table.languages) > 1:
        notes.append(
            "prompts of several languages, and no column says which are translations of each other:"
            " each is taken as independent; --cluster COLUMN names one"
        )
    return notes
