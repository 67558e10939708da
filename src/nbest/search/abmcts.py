"""Adaptive branching Monte Carlo tree search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from random import Random
from typing import ClassVar, Literal

from nbest.search.machine import ROOT, Batch, Machine, Node, Plan, wish
from nbest.types import Value


class _Grown(Value, frozen=True, kw_only=True):
    tips: tuple[int, ...] = ()
    """Where the answers in the making are."""
    num_begun: int = 0
    answers: tuple[int, ...] = ()
    """Finished nodes, in the order of their rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abmcts(Machine):
    """AB-MCTS-A (Inoue et al. 2025, arXiv 2503.04412): whether to go wider or deeper is sampled as well.

    N answers are made; each is drawn step by step to its end, and its value counts for every step on its
    way. Where an answer branches off is chosen from the top of the tree by Thompson sampling: at each node
    a score is drawn for a new branch (GEN), from the first answers of the branches there are, and one for
    going on into them (CONT), from all their answers; where CONT is higher, a branch is chosen in
    the same way, each by its answers. Ties go to GEN and to the older branch. `parallel` answers are
    made at once, each begun with what is known by then.

    In the paper a node is a whole answer and its children are refinements of it; here, as in the other
    searches, a node is a step. Steps inside an answer get no value, so the verifier reads N answers.
    """

    is_open_to_clients: ClassVar[bool] = True

    parallel: int = 4
    """Answers in the making at once; 1 uses all that can be known, and is slowest."""
    prior: Literal["normal", "beta"] = "normal"
    """What is believed of a score. `normal`: normal-inverse-gamma, m=0, κ=1, ν=1, τ²=0.1 (the paper's), for
    values about 0–1. `beta`: Beta(½, ½), values below 0 count as 0 and above 1 as 1,
    and `State.notes` says so."""

    def __post_init__(self) -> None:
        Machine.__post_init__(self)
        if self.parallel < 1:
            raise ValueError(f"parallel must be at least 1, got {self.parallel}")

    @property
    def most_rounds(self) -> int:
        return self.rounds * self.n

    def _note(self, nodes: Sequence[Node]) -> str | None:
        if self.prior == "normal" or all(n.value is None or 0 <= n.value <= 1 for n in nodes):
            return None
        return (
            "abmcts: values are not between 0 and 1, and prior=beta takes those beyond for 0 or 1: use"
            " prior=normal, or a verifier that gives probabilities"
        )

    def _first(self, rng: Random) -> Plan:
        return self._begun((), _Grown(), (), rng)

    def _next(self, batch: Batch) -> Plan:
        grown: _Grown = batch.state.memory
        nodes = batch.state.nodes
        drawn = [nodes[i] for _, ids in batch.children for i in ids if i is not None]
        answers = (*grown.answers, *(n.id for n in drawn if n.fate == "finished"))
        tips = tuple(n.id for n in drawn if n.fate == "open" and n.depth < self.rounds)
        return self._begun(tips, _Grown(num_begun=grown.num_begun, answers=answers), nodes, batch.rng)

    def _begun(self, tips: tuple[int, ...], grown: _Grown, nodes: Sequence[Node], rng: Random) -> Plan:
        """`tips`, and new answers in the free places."""
        num_new = min(self.parallel - len(tips), self.n - grown.num_begun)
        paths = [_path(nodes, a) for a in grown.answers]
        tips += tuple(self._branching(paths, nodes, rng) for _ in range(num_new))
        return Plan(
            wishes=tuple(wish(tip, is_scored=False) for tip in tips),
            memory=_Grown(tips=tips, num_begun=grown.num_begun + num_new, answers=grown.answers),
        )

    def _branching(self, paths: Sequence[Sequence[int]], nodes: Sequence[Node], rng: Random) -> int:
        """The node that the next answer branches off from."""
        at, depth = ROOT, 0
        while True:
            branches: dict[int, list[float]] = {}
            firsts: list[float] = []
            for path in paths:
                if len(path) <= depth + 1 or path[depth] != at or (value := nodes[path[-1]].value) is None:
                    continue
                if path[depth + 1] not in branches:
                    firsts.append(value)
                branches.setdefault(path[depth + 1], []).append(value)
            branches = {b: values for b, values in branches.items() if nodes[b].fate == "open"}
            if not branches:
                return at
            everything = [v for values in branches.values() for v in values]
            if self._score(firsts, rng) >= self._score(everything, rng):
                return at
            scores = {b: self._score(values, rng) for b, values in branches.items()}
            at, depth = max(scores, key=lambda b: (scores[b], -b)), depth + 1

    def _score(self, values: Sequence[float], rng: Random) -> float:
        """A draw of what the next score may be, after `values`."""
        n = len(values)
        if self.prior == "beta":
            clipped = [min(1.0, max(0.0, v)) for v in values]
            return rng.betavariate(0.5 + fsum(clipped), 0.5 + n - fsum(clipped))
        mean = fsum(values) / n if n else 0.0
        kappa, nu = 1.0 + n, 1.0 + n
        centre = n * mean / kappa
        scatter = 0.1 + fsum((v - mean) ** 2 for v in values) + n * mean**2 / kappa
        variance = scatter / (2 * rng.gammavariate(nu / 2, 1.0))
        return rng.gauss(centre, sqrt(variance * (1 + 1 / kappa)))


def _path(nodes: Sequence[Node], id_: int) -> list[int]:
    """From the root to `id_`."""
    path = [id_]
    while (parent := nodes[path[-1]].parent) is not None:
        path.append(parent)
    return path[::-1]
