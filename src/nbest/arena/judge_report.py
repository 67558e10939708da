"""What a judge did in a set of games: its verdicts and failures, position bias, agreement with itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from math import fsum
from typing import NamedTuple

import numpy as np

from nbest.accounting.meter import total
from nbest.arena.battles import Pair
from nbest.arena.judged_games import Verdict
from nbest.arena.point_shares import share_estimate
from nbest.evaluate.confidence import Estimate
from nbest.evaluate.intervals import codes, resampled_clusters
from nbest.judging.verdict_text import POINTS
from nbest.types import Usage, Value


class JudgeReport(Value, frozen=True, kw_only=True):
    """Verdicts, failures and consistency of the judge over all games."""

    num_games: int
    num_equal: int
    """Games between equal texts: ties, not asked."""
    num_null: int
    """Replies without a readable verdict."""
    num_failed: int
    """The judge did not answer; asked again when the command is repeated."""
    num_pairs_left_out: int
    """Pairs of which a game has no verdict."""
    problems: Mapping[str, int]
    """Why there is no verdict, commonest first."""
    verdicts: Mapping[str, int]
    """How often each grade was given, by seat."""
    seat_a: Estimate | None
    """Share of the points that went to the answer shown first; 0.5 without position bias."""
    agreement: Estimate | None
    """Share of pairs whose two games have the same winner (or are both ties)."""
    contradiction: Estimate | None
    """Share of pairs that the same seat won both times."""
    usage: Usage


def judge_report(
    verdicts: Sequence[Verdict],
    pairs: Sequence[Pair],
    clusters: Mapping[str, str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> JudgeReport:
    """Counts of all games, and shares of the pairs whose two games were both asked and have a verdict.

    `clusters` says which cluster each prompt id is in, for the intervals.
    """
    answered = [v for v in verdicts if v.is_answered]
    problems = Counter(v.problem for v in verdicts if v.grade is None and v.problem)
    grades = Counter(v.grade for v in verdicts if v.is_asked and v.grade)
    shares = _Shares([p for p in pairs if _is_judged_twice(p)], clusters, resamples=resamples, seed=seed)
    return JudgeReport(
        num_games=len(verdicts),
        num_equal=sum(not v.is_asked for v in verdicts),
        num_null=sum(v.grade is None for v in answered),
        num_failed=len(verdicts) - len(answered),
        num_pairs_left_out=sum(p.num_grades < len(p.games) for p in pairs),
        problems=dict(problems.most_common()),
        verdicts={g: grades[g] for g in POINTS if grades[g]},
        seat_a=shares.of("points_of_a", "points"),
        agreement=shares.of("same_winner", "pairs"),
        contradiction=shares.of("same_seat", "pairs"),
        usage=sum((total(v.usage) for v in verdicts), Usage()),
    )


def _is_judged_twice(pair: Pair) -> bool:
    return all(game.is_asked and game.grade for game in pair.games)


class _Counts(NamedTuple):
    """What one pair adds to the shares; summed by cluster and resampled."""

    points_of_a: float
    """Points of the answer shown first, of both games."""
    points: float
    same_winner: float
    """1 where both games have the same winner, or are both ties."""
    same_seat: float
    """1 where the answer shown first won both, or lost both."""
    pairs: float


class _Shares:
    """Ratios of sums over pairs, with their intervals over clusters of prompts."""

    def __init__(
        self, pairs: Sequence[Pair], clusters: Mapping[str, str], *, resamples: int, seed: int
    ) -> None:
        counts_N5 = np.array([_counts_of(pair) for pair in pairs]).reshape(-1, len(_Counts._fields))
        cluster_N = codes([clusters[pair.prompt.id] for pair in pairs])
        self._num_clusters = len(set(cluster_N.tolist()))
        self._sums_K5 = np.zeros((self._num_clusters, counts_N5.shape[1]))
        np.add.at(self._sums_K5, cluster_N, counts_N5)
        self._drawn_R5 = self._sums_K5
        if pairs:
            weights = resampled_clusters(self._num_clusters, resamples=resamples, seed=seed)
            self._drawn_R5 = np.concatenate([weights_BK @ self._sums_K5 for weights_BK in weights])

    def of(self, part: str, whole: str) -> Estimate | None:
        """The share of `part` in `whole`, fields of `_Counts`; None without pairs."""
        if not self._num_clusters:
            return None
        i, j = _Counts._fields.index(part), _Counts._fields.index(whole)
        value = self._sums_K5[:, i].sum() / self._sums_K5[:, j].sum()
        return share_estimate(float(value), self._drawn_R5[:, i] / self._drawn_R5[:, j], self._num_clusters)


def _counts_of(pair: Pair) -> _Counts:
    points = [POINTS[game.grade or "A=B"] for game in pair.games]
    first, second = (_side(game) for game in pair.games)
    return _Counts(
        points_of_a=fsum(of_a for of_a, _ in points),
        points=fsum(chain.from_iterable(points)),
        same_winner=float(first == -second),
        same_seat=float(first == second != 0),
        pairs=1.0,
    )


def _side(game: Verdict) -> int:
    """1 where the answer shown first won, −1 where the second did, 0 for a tie."""
    of_a, of_b = POINTS[game.grade or "A=B"]
    return (of_a > of_b) - (of_a < of_b)
