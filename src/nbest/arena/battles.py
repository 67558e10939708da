"""Verdicts as arrays: who met whom, with which points, in which cluster, language and style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from nbest.arena.judged_games import Verdict
from nbest.arena.style import Style, style
from nbest.arena.style_control import Battles
from nbest.errors import InputError
from nbest.evaluate.confidence import Floats, Ints
from nbest.evaluate.intervals import codes
from nbest.evaluate.scores import CLUSTER
from nbest.judging.verdict_text import POINTS
from nbest.types import Prompt

Nulls = Literal["skip", "tie"]
"""What a game without a verdict is: its pair is left out, or it is a tie."""

UNKNOWN_LANGUAGE: Final = "und"
STYLE_FEATURES: Final = Style._fields


class Pair(NamedTuple):
    """Two systems on one prompt; the first game shows `a` as A, the second shows it as B."""

    prompt: Prompt
    a: str
    b: str
    games: tuple[Verdict, Verdict]

    @property
    def num_grades(self) -> int:
        """How many of the two games have a verdict."""
        return sum(g.grade is not None for g in self.games)

    @property
    def is_asked(self) -> bool:
        """False for equal texts, a tie that no judge has seen."""
        return any(g.is_asked for g in self.games)

    @property
    def points(self) -> tuple[float, float]:
        """Of `a` and of `b`; a game without a verdict is a tie."""
        (a1, b1), (b2, a2) = (POINTS[g.grade or "A=B"] for g in self.games)
        return a1 + a2, b1 + b2


class Table(NamedTuple):
    """N battles of S systems with their languages."""

    systems: tuple[str, ...]
    languages: tuple[str, ...]
    battles: Battles
    language_N: Ints
    num_clusters: int
    pairs: tuple[Pair, ...]
    """The same battles as verdicts, in the same order."""


def pairs_of(verdicts: Sequence[Verdict]) -> list[Pair]:
    """Both orders of each pair together, by prompt and names. A lone game of a store cut off is left out."""
    by_seats = {(v.prompt.id, *v.systems): v for v in verdicts}
    pairs: list[Pair] = []
    for (id_, a, b), first in sorted(by_seats.items(), key=lambda kv: kv[0]):
        second = by_seats.get((id_, b, a))
        if a < b and second is not None:
            pairs.append(Pair(first.prompt, a, b, (first, second)))
    return pairs


def clusters_of(verdicts: Sequence[Verdict], column: str | None) -> tuple[dict[str, str], str | None]:
    """Prompt id → cluster, and the column that says so; None where every prompt stands for itself.

    The column is `column`, else "cluster" where every row has it. Raises `InputError` where some rows
    lack it: which prompts belong together is never guessed.
    """
    name = column or CLUSTER
    lacking = [v.prompt.id for v in verdicts if v.gold.get(name) is None]
    if column is None and len(lacking) == len(verdicts):
        return {v.prompt.id: v.prompt.id for v in verdicts}, None
    if lacking:
        raise InputError(f"prompt {lacking[0]!r} has no column {name!r}; `cluster` needs it in every row")
    return {v.prompt.id: repr(v.gold[name]) for v in verdicts}, name


def table_of(
    pairs: Sequence[Pair], systems: Sequence[str], clusters: Mapping[str, str], *, nulls: Nulls
) -> Table:
    """The battles that count; N may be 0."""
    counted = [p for p in pairs if nulls == "tie" or p.num_grades == len(p.games)]
    number = {s: i for i, s in enumerate(systems)}
    languages = tuple(sorted({language_of(p.prompt) for p in counted}))
    points = np.array([p.points for p in counted]).reshape(-1, 2)
    cluster_N = codes([clusters[p.prompt.id] for p in counted])
    return Table(
        systems=tuple(systems),
        languages=languages,
        battles=Battles(
            first_N=np.array([number[p.a] for p in counted], dtype=np.intp),
            second_N=np.array([number[p.b] for p in counted], dtype=np.intp),
            won_N=points[:, 0],
            lost_N=points[:, 1],
            cluster_N=cluster_N,
        ),
        language_N=np.array([languages.index(language_of(p.prompt)) for p in counted], dtype=np.intp),
        num_clusters=len(set(cluster_N.tolist())),
        pairs=tuple(counted),
    )


def language_of(prompt: Prompt) -> str:
    """The prompt's language, or `und` (ISO 639-2: undetermined)."""
    return prompt.language or UNKNOWN_LANGUAGE


def length_feature(table: Table) -> Floats:
    """tanh(Δ / s), Δ the difference of lengths in characters, s its root mean square; shape (N, 1).

    AlpacaEval's feature (arXiv 2404.04475). s is that of the battle's language, because a character says
    more in some scripts than in others; and about 0, not about the mean, because equal length is what
    is to be compared.
    """
    first, second = _styles(table)
    return np.tanh(_per_language(first[:, :1] - second[:, :1], table))


def style_features(table: Table) -> Floats:
    """Relative difference of length, differences of headers, bold and list items per character; (N, 4).

    Arena-Hard v2's features: (l_a − l_b) / (l_a + l_b); with densities d = count / (length + 1),
    (d_a − d_b) / (d_a + d_b + 1). Scaled like `length_feature`; Arena-Hard also subtracts the mean, which
    would put the average difference in style back into the strengths.
    """
    first, second = _styles(table)
    length = (first[:, :1] - second[:, :1]) / np.maximum(first[:, :1] + second[:, :1], 1)
    ours, theirs = (x[:, 1:] / (x[:, :1] + 1) for x in (first, second))
    return _per_language(np.hstack([length, (ours - theirs) / (ours + theirs + 1)]), table)


def _styles(table: Table) -> tuple[Floats, Floats]:
    texts = [p.games[0].texts for p in table.pairs]
    return tuple(np.array([style(t[seat]) for t in texts], dtype=float).reshape(-1, 4) for seat in (0, 1))  # pyright: ignore[reportReturnType]


def _per_language(differences: Floats, table: Table) -> Floats:
    scaled = differences.copy()
    for i in range(len(table.languages)):
        rows = table.language_N == i
        size = np.sqrt(np.mean(np.square(differences[rows]), axis=0))
        scaled[rows] /= np.where(size > 0, size, 1.0)
    return scaled
