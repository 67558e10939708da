"""Adaptive branching Monte Carlo tree search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from random import Random
from typing import ClassVar, Literal

from nbest.search.machine import ROOT, Batch, Machine, Node, Plan, expand
from nbest.types import Value


class _Progress(Value, frozen=True, kw_only=True):
    """How far the N answers are."""

    num_begun: int = 0
    answers: tuple[int, ...] = ()
    """Nodes that finish an answer, in the order of their rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abmcts(Machine):
    """AB-MCTS-A (Inoue et al. 2025, arXiv 2503.04412): whether to go wider or deeper is sampled as well.

    until N answers are finished:
        at the root, and then at each node that is chosen, draw by Thompson sampling
            a score for a new branch (GEN), from the first answers of the branches there are
            a score for going on into them (CONT), from all their answers
        where GEN is at least CONT, the next answer branches off here; it is drawn step by step to its end
        else go on to one of the branches: the one with the highest score, drawn from its answers

    The value of a finished answer counts for every step on its way. Of equal branches the older wins. `parallel`
    answers are made at once, each begun with what is known by then.

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

    def num_draws(self, steps: int) -> int:
        return self.n * min(self.rounds, steps)

    def _note(self, nodes: Sequence[Node]) -> str | None:
        values = [node.value for node in nodes if node.value is not None]
        if self.prior == "normal" or all(0 <= value <= 1 for value in values):
            return None
        return (
            "abmcts: values are not between 0 and 1, and prior=beta takes those beyond for 0 or 1: use"
            " prior=normal, or a verifier that gives probabilities"
        )

    def _first(self, rng: Random) -> Plan:
        return self._drawn((), _Progress(), (), rng)

    def _next(self, batch: Batch) -> Plan:
        progress: _Progress = batch.state.memory
        nodes = batch.state.nodes
        drawn = [nodes[i] for _, ids in batch.children for i in ids if i is not None]
        finished = tuple(node.id for node in drawn if node.fate == "finished")
        open_nodes = [node for node in drawn if node.fate == "open"]
        tips = tuple(node.id for node in open_nodes if node.depth < self.rounds)
        progress = _Progress(num_begun=progress.num_begun, answers=(*progress.answers, *finished))
        return self._drawn(tips, progress, nodes, batch.rng)

    def _drawn(self, tips: tuple[int, ...], progress: _Progress, nodes: Sequence[Node], rng: Random) -> Plan:
        """A next step of each unfinished answer, which end in `tips`, and of new answers in the free places."""
        num_new = min(self.parallel - len(tips), self.n - progress.num_begun)
        paths = [_path(nodes, answer) for answer in progress.answers]
        starts = tuple(self._branching_point(paths, nodes, rng) for _ in range(num_new))
        return Plan(
            expansions=tuple(expand(node, is_scored=False) for node in tips + starts),
            memory=_Progress(num_begun=progress.num_begun + num_new, answers=progress.answers),
        )

    def _branching_point(self, paths: Sequence[Sequence[int]], nodes: Sequence[Node], rng: Random) -> int:
        """The node that the next answer branches off from; `paths` lead from the root to the finished answers."""
        at, depth = ROOT, 0
        while True:
            values_by_branch = _values_by_branch(paths, at, depth, nodes)
            open_branches = {b: values for b, values in values_by_branch.items() if nodes[b].fate == "open"}
            if not open_branches:
                return at

            first_values = [values[0] for values in values_by_branch.values()]
            all_values = [value for values in open_branches.values() for value in values]
            wider = self._score(first_values, rng)
            deeper = self._score(all_values, rng)
            if wider >= deeper:
                return at
            scores = {branch: self._score(values, rng) for branch, values in open_branches.items()}
            at = max(scores, key=lambda branch: (scores[branch], -branch))
            depth += 1

    def _score(self, values: Sequence[float], rng: Random) -> float:
        """A draw from what is believed of the next score, after `values`."""
        n = len(values)
        if self.prior == "beta":
            clipped = [min(1.0, max(0.0, value)) for value in values]
            return rng.betavariate(0.5 + fsum(clipped), 0.5 + n - fsum(clipped))

        mean = fsum(values) / max(1, n)
        kappa, nu = 1.0 + n, 1.0 + n
        centre = n * mean / kappa
        scatter = 0.1 + fsum((value - mean) ** 2 for value in values) + n * mean**2 / kappa
        variance = scatter / (2 * rng.gammavariate(nu / 2, 1.0))
        return rng.gauss(centre, sqrt(variance * (1 + 1 / kappa)))


def _values_by_branch(
    paths: Sequence[Sequence[int]], at: int, depth: int, nodes: Sequence[Node]
) -> dict[int, list[float]]:
    """The values of the answers that pass through node `at` in this depth, by the next node on their way."""
    values: dict[int, list[float]] = {}
    for path in paths:
        passes = len(path) > depth + 1 and path[depth] == at
        value = nodes[path[-1]].value
        if passes and value is not None:
            values.setdefault(path[depth + 1], []).append(value)
    return values


def _path(nodes: Sequence[Node], id_: int) -> list[int]:
    """From the root to `id_`."""
    path: list[int] = []
    at: int | None = id_
    while at is not None:
        path.append(at)
        at = nodes[at].parent
    return path[::-1]
