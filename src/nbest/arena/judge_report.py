"""What a judge did in a set of games: verdicts, failures, position bias, agreement with itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from math import fsum

import numpy as np

from nbest.accounting.meter import total
from nbest.arena.battles import Pair
from nbest.arena.bradley_terry import share_estimate
from nbest.arena.judged_games import Verdict
from nbest.evaluate.intervals import Estimate, codes, resampled_clusters
from nbest.judging.verdicts import POINTS
from nbest.types import Usage, Value


class JudgeReport(Value, frozen=True, kw_only=True):
    """What the judge did."""

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
    """Of all games; shares of the pairs whose two games were both asked and have a verdict, by cluster."""
    answered = [v for v in verdicts if v.is_answered]
    both = [p for p in pairs if all(g.is_asked and g.grade for g in p.games)]
    problems = Counter(v.problem for v in verdicts if v.grade is None and v.problem)
    grades = Counter(v.grade for v in verdicts if v.is_asked and v.grade)
    sides = [tuple(_side(g) for g in p.games) for p in both]
    # Columns: points of seat A, of all games; same winner, same seat, one for each pair.
    rows = np.array(
        [
            (
                fsum(POINTS[g.grade or "A=B"][0] for g in p.games),
                fsum(chain.from_iterable(POINTS[g.grade or "A=B"] for g in p.games)),
                float(s == -t),
                float(s == t != 0),
                1.0,
            )
            for p, (s, t) in zip(both, sides, strict=True)
        ]
    ).reshape(-1, 5)
    cluster_N = codes([clusters[p.prompt.id] for p in both])
    num_clusters = len(set(cluster_N.tolist()))
    sums = np.zeros((num_clusters, 5))
    np.add.at(sums, cluster_N, rows)

    drawn = (
        np.concatenate([w @ sums for w in resampled_clusters(num_clusters, resamples=resamples, seed=seed)])
        if both
        else sums
    )

    def share(part: int, whole: int) -> Estimate | None:
        if not both:
            return None
        value = sums[:, part].sum() / sums[:, whole].sum()
        return share_estimate(float(value), drawn[:, part] / drawn[:, whole], num_clusters)

    return JudgeReport(
        num_games=len(verdicts),
        num_equal=sum(not v.is_asked for v in verdicts),
        num_null=sum(v.grade is None for v in answered),
        num_failed=len(verdicts) - len(answered),
        num_pairs_left_out=sum(p.grades < len(p.games) for p in pairs),
        problems=dict(problems.most_common()),
        verdicts={g: grades[g] for g in POINTS if grades[g]},
        seat_a=share(0, 1),
        agreement=share(2, 4),
        contradiction=share(3, 4),
        usage=sum((total(v.usage) for v in verdicts), Usage()),
    )


def _side(game: Verdict) -> int:
    """1 where seat A won, −1 where seat B did, 0 for a tie."""
    of_a, of_b = POINTS[game.grade or "A=B"]
    return (of_a > of_b) - (of_a < of_b)
