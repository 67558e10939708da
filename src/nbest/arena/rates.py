"""Shares of points and strengths with their intervals, all from the same resampled clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import fsum

import numpy as np

from nbest.arena.battles import Table
from nbest.arena.point_shares import share_estimate
from nbest.arena.style import style
from nbest.arena.style_control import controlled, win_probability
from nbest.evaluate.confidence import Estimate, Floats, Ints, percentiles
from nbest.judging.bradley_terry import bradley_terry
from nbest.types import Value

_COLLINEAR = 30.0
"""Condition number above which regression coefficients cannot be told apart (Belsley et al. 1980)."""


class SystemRates(Value, frozen=True, kw_only=True):
    """One system against the baseline. Shares of points with 95 % intervals; None where nothing is known."""

    system: str
    num_pairs: int
    """Prompts on which it met the baseline and both games count."""
    num_equal: int = 0
    """Those of them with equal texts: ties that no judge has seen."""
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


class Rates:
    """The estimates and their resamples, computed once for all systems."""

    def __init__(
        self,
        table: Table,
        baseline: int,
        resampled: Callable[[], Iterable[Floats]],
        *,
        controls: Mapping[str, Floats],
    ) -> None:
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
        self.fits = {
            name: (controlled(b, z, num_systems)[0], controlled(b, z, num_systems, resampled()))
            for name, z in controls.items()
        }
        self.notes = self._collinear(controls)

    def row(self, i: int) -> SystemRates:
        """One system; the baseline's own has no rates."""
        name = self.table.systems[i]
        mean_length = self._mean_length(name)
        if i == self.baseline or not self._is_comparable(i):
            return SystemRates(system=name, num_pairs=0, mean_length=mean_length)

        met_KL = self.points_KLSS[:, :, [i, self.baseline], [self.baseline, i]].sum(axis=2)
        num_clusters = int((met_KL.sum(axis=1) > 0).sum())
        seats = {name, self.table.systems[self.baseline]}
        met = [p for p in self.table.pairs if {p.a, p.b} == seats]
        by_language = self._by_language(i, (met_KL > 0).sum(axis=0))
        languages = [self.table.languages.index(code) for code in by_language]
        return SystemRates(
            system=name,
            num_pairs=len(met),
            num_equal=sum(not p.is_asked for p in met),
            win_rate=self._share(i, range(len(self.table.languages)), num_clusters),
            by_language=by_language,
            macro=self._macro(i, languages, num_clusters),
            bradley_terry=self._modelled(self.strengths, self.drawn_strengths, i),
            length_controlled=self._modelled(*self.fits["length"], i),
            style_controlled=self._modelled(*self.fits["style"], i),
            mean_length=mean_length,
        )

    def _mean_length(self, system: str) -> float | None:
        """Of the answers of a system, one of each of its games."""
        lengths: list[int] = []
        for pair in self.table.pairs:
            game = pair.games[0]
            if system in game.systems:
                lengths.append(style(game.texts[game.systems.index(system)]).length)
        if not lengths:
            return None
        return fsum(lengths) / len(lengths)

    def _by_language(self, i: int, num_clusters_L: Ints) -> dict[str, Estimate]:
        shares = {
            code: self._share(i, [k], int(num_clusters_L[k])) for k, code in enumerate(self.table.languages)
        }
        return {code: share for code, share in shares.items() if share is not None}

    def _is_comparable(self, i: int) -> bool:
        """Whether games lead from the system to the baseline, directly or over others."""
        won_SS = self.points_KLSS.sum(axis=(0, 1))
        num_systems = len(won_SS)
        met_SS = (won_SS + won_SS.T > 0) + np.eye(num_systems)
        return bool(np.linalg.matrix_power(met_SS, num_systems)[i, self.baseline] > 0)

    def effects(self, control: str) -> list[Estimate]:
        """Coefficients of the features of `control`."""
        point, sampled = self.fits[control]
        features = range(len(self.table.systems), point.size)
        return [
            Estimate(float(point[p]), *percentiles(sampled[:, p], self.table.num_clusters)) for p in features
        ]

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

    def _collinear(self, controls: Mapping[str, Floats]) -> list[str]:
        """Where one system's answers always differ in style alike, style and strength are one."""
        b, num_systems = self.table.battles, len(self.table.systems)
        who = np.eye(num_systems)[b.first_N] - np.eye(num_systems)[b.second_N]
        who = np.delete(who, self.baseline, axis=1)
        notes: list[str] = []
        for name, z in controls.items():
            x = np.hstack([who, z[:, np.any(z != 0, axis=0)]])
            x = x[:, np.any(x != 0, axis=0)]
            if np.linalg.cond(x / np.linalg.norm(x, axis=0)) > _COLLINEAR:
                notes.append(
                    f"{name} and system go together in these answers: the {name}-controlled win-rate is"
                    " a guess, whatever its interval says"
                )
        return notes
