"""Particle filtering, and particle Gibbs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, fsum, inf, log
from random import Random
from typing import ClassVar, Literal

from nbest.search.machine import ROOT, Batch, Machine, Node, Plan, expand
from nbest.types import Value, replace

_EDGE = 1e-6
"""How near to 0 and 1 a probability may come before its logarithm is taken."""


class Particle(Value, frozen=True, kw_only=True):
    """One answer in the making, and its weight since the last resampling."""

    node: int = ROOT
    log_weight: float = 0.0
    level: float = 0.0
    """Log-potential of its node."""
    is_over: bool = False
    """Finished (it absorbs: its weight changes no more) or lost."""


class Cloud(Value, frozen=True, kw_only=True):
    """All particles of one sweep."""

    particles: tuple[Particle, ...]
    sweep: int = 0
    depth: int = 0
    """Steps taken in this sweep."""
    log_evidence: float = 0.0
    """Of the steps before the last resampling: log of the product of mean weights."""
    reference: tuple[int, ...] = ()
    """Nodes of the retained answer, first step first, which the first particle follows (Gibbs)."""

    @property
    def has_open_particles(self) -> bool:
        return not all(p.is_over for p in self.particles)

    def retains(self, i: int) -> bool:
        """Whether particle i follows the retained answer."""
        return i == 0 and bool(self.reference)

    @property
    def is_lost(self) -> bool:
        return all(p.log_weight == -inf for p in self.particles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Particles(Machine):
    """Particle filtering over steps (Puri et al. 2025, arXiv 2502.01618).

    start N particles at the empty answer
    in each round, until every answer is finished:
        draw one step for each particle
        weigh it:  log w += φ(step t) − φ(step t − 1)    (target=last)
                   log w += φ(step t)                    (target=product)
        where the effective sample size (Σw)² / Σw² is below ess · N:
            draw N particles anew in proportion to their weights, which are equal then

    φ is a particle's log-potential: value / T (`exp`), log value / T (`value`) or log-odds / T (`odds`) of its last
    step. Resampling is systematic: no particle of share s gets fewer than ⌊N·s⌋ or more than ⌈N·s⌉ places. A finished
    particle keeps its weight and its place until it is resampled away. A particle whose draw failed has no weight.

    The target is P(answer) · potential(last step) with `target=last`: answers of any length compete fairly; with
    `target=product` it is the paper's P(answer) · Π_t potential(step t). There a finished particle is weighed
    again in every round; here it is not, and so the product of mean weights is an unbiased estimate of the
    target's normalising constant, as sequential Monte Carlo promises.

    `anneal=k` lets potentials grow to full strength over the first k steps; a finished answer has it at
    once. `sweeps` above 1 is particle Gibbs: each later sweep keeps one answer of the last, drawn by weight,
    and N − 1 new particles compete with it (multinomial resampling then, which conditioning needs).
    """

    is_open_to_clients: ClassVar[bool] = True

    ess: float = 0.5
    """Resample below this share of N; 1 is every round, as in the paper's algorithm 1."""
    temperature: float = 0.1
    """T, in the verifier's own unit. 0.1 suits values between 0 and 1 under `exp`."""
    potential: Literal["exp", "value", "odds"] = "exp"
    """`value` and `odds` need values between 0 and 1: one below 0 (and under `odds` above 1) counts as the
    nearest that has a logarithm, and `State.notes` says so."""
    target: Literal["last", "product"] = "last"
    anneal: int = 0
    sweeps: int = 1

    def __post_init__(self) -> None:
        Machine.__post_init__(self)
        if not 0 <= self.ess <= 1:
            raise ValueError(f"ess must be between 0 and 1, got {self.ess}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if self.anneal < 0 or self.sweeps < 1:
            raise ValueError(
                f"anneal must be at least 0 and sweeps at least 1, got {self.anneal} and {self.sweeps}"
            )

    @property
    def most_rounds(self) -> int:
        return self.rounds * self.sweeps

    def _note(self, nodes: Sequence[Node]) -> str | None:
        values = [node.value for node in nodes if node.value is not None]
        highest = 1.0 if self.potential == "odds" else inf
        if self.potential == "exp" or all(0 <= value <= highest for value in values):
            return None
        return (
            f"particles: values are not between 0 and 1, and potential={self.potential} takes those beyond for the"
            " nearest: use potential=exp, or a verifier that gives probabilities"
        )

    def _first(self, rng: Random) -> Plan:
        return self._drawn(Cloud(particles=(Particle(),) * self.n))

    def _next(self, batch: Batch) -> Plan:
        drawn = {expansion.node: iter(ids) for expansion, ids in batch.children}
        cloud = self._moved(batch.state.memory, batch, drawn)
        while cloud.has_open_particles and cloud.depth < self.rounds:
            plan = self._drawn(cloud)
            if plan.expansions:
                return plan
            cloud = self._moved(cloud, batch, {})  # the retained answer alone goes on: nothing to draw

        if cloud.sweep + 1 == self.sweeps or cloud.is_lost:
            return Plan(memory=cloud)
        return self._drawn(self._next_sweep(cloud, batch))

    def _drawn(self, cloud: Cloud) -> Plan:
        """One step for each open particle but the retained one: one expansion per node, for all particles on it."""
        count_by_node: dict[int, int] = {}
        for i, particle in enumerate(cloud.particles):
            if not particle.is_over and not cloud.retains(i):
                count_by_node[particle.node] = count_by_node.get(particle.node, 0) + 1
        expansions = [expand(node, n) for node, n in count_by_node.items()]
        return Plan(expansions=tuple(expansions), memory=cloud)

    def _moved(self, cloud: Cloud, batch: Batch, drawn: Mapping[int, Iterator[int | None]]) -> Cloud:
        """The cloud one step on, resampled where the effective sample size is too small."""
        particles = self._weighed(cloud, _next_nodes(cloud, batch.state.nodes, drawn))
        cloud = replace(cloud, depth=cloud.depth + 1, particles=particles)
        size = effective_size([p.log_weight for p in particles])
        if cloud.has_open_particles and size < self.ess * self.n:
            return _resampled(cloud, batch.rng)
        return cloud

    def _weighed(self, cloud: Cloud, nodes: Sequence[Node | None]) -> tuple[Particle, ...]:
        """Every open particle on its next node, with its new weight."""
        levels = self._levels(nodes, cloud.depth + 1)
        particles: list[Particle] = []
        for particle, node, level in zip(cloud.particles, nodes, levels, strict=True):
            if particle.is_over:
                particles.append(particle)
            elif node is None:
                particles.append(replace(particle, log_weight=-inf, is_over=True))
            else:
                particles.append(self._on(node, particle, level))
        return tuple(particles)

    def _on(self, node: Node, particle: Particle, level: float) -> Particle:
        gained = level - particle.level if self.target == "last" else level
        return Particle(
            node=node.id,
            log_weight=particle.log_weight + gained,
            level=level,
            is_over=node.fate == "finished",
        )

    def _levels(self, nodes: Sequence[Node | None], depth: int) -> list[float]:
        """Log-potentials φ; a step without a value has the least of the round."""
        level_by_id: dict[int, float] = {}
        for node in nodes:
            if node is not None and node.value is not None:
                strength = self._strength(node, depth)
                level_by_id[node.id] = strength * self._log_potential(node.value) / self.temperature
        least = min(level_by_id.values(), default=0.0)
        return [least if node is None else level_by_id.get(node.id, least) for node in nodes]

    def _log_potential(self, value: float) -> float:
        """φ · T of a step."""
        if self.potential == "exp":
            return value
        if self.potential == "value":
            return log(max(_EDGE, value))
        p = min(1 - _EDGE, max(_EDGE, value))
        return log(p / (1 - p))

    def _strength(self, node: Node, depth: int) -> float:
        """How much of its potential a step has under `anneal`."""
        if node.fate == "finished" or not self.anneal:
            return 1.0
        return min(1.0, depth / self.anneal)

    def _next_sweep(self, cloud: Cloud, batch: Batch) -> Cloud:
        """N particles at the start, the first of which follows an answer of this sweep, drawn by weight."""
        weights = normalised([p.log_weight for p in cloud.particles])
        [retained] = batch.rng.choices(cloud.particles, weights)
        path: list[int] = []
        at: int | None = retained.node
        while at is not None and at != ROOT:
            path.append(at)
            at = batch.state.nodes[at].parent
        start = (Particle(),) * self.n
        return Cloud(particles=start, sweep=cloud.sweep + 1, reference=tuple(reversed(path)))


def _next_nodes(
    cloud: Cloud, nodes: Sequence[Node], drawn: Mapping[int, Iterator[int | None]]
) -> list[Node | None]:
    """The node that each particle moves to; None for one that is over or whose draw failed."""
    found: list[Node | None] = []
    for i, particle in enumerate(cloud.particles):
        id_: int | None = None
        if cloud.retains(i) and not particle.is_over:
            id_ = cloud.reference[cloud.depth]
        elif not particle.is_over:
            id_ = next(drawn[particle.node])
        found.append(None if id_ is None else nodes[id_])
    return found


def log_evidence(cloud: Cloud) -> float:
    """Log of the estimated normalising constant, −∞ where every particle was lost."""
    weights = [p.log_weight for p in cloud.particles]
    top = max(weights)
    if top == -inf:
        return -inf
    return cloud.log_evidence + top + log(fsum(exp(w - top) for w in weights) / len(weights))


def _resampled(cloud: Cloud, rng: Random) -> Cloud:
    """N particles of equal weight, drawn in proportion to their weights; the retained one stays."""
    weights = normalised([p.log_weight for p in cloud.particles])
    n = len(weights)
    if cloud.reference:
        chosen = [0, *rng.choices(range(n), weights, k=n - 1)]
    else:
        chosen = systematic(weights, rng.random())
    particles = [replace(cloud.particles[i], log_weight=0.0) for i in chosen]
    return replace(cloud, particles=tuple(particles), log_evidence=log_evidence(cloud))


def systematic(weights: Sequence[float], at: float) -> list[int]:
    """Indices chosen at (i + `at`) / n of the cumulated weights, which sum to 1; 0 ≤ at < 1."""
    n, j = len(weights), 0
    below = list(accumulate(weights))
    last = max(i for i, w in enumerate(weights) if w > 0)  # rounding must not choose what has no weight
    chosen: list[int] = []
    for i in range(n):
        while j < last and below[j] <= (i + at) / n:
            j += 1
        chosen.append(j)
    return chosen


def normalised(log_weights: Sequence[float]) -> list[float]:
    """Weights that sum to 1; equal ones where all are lost."""
    top = max(log_weights)
    if top == -inf:
        return [1 / len(log_weights)] * len(log_weights)
    weights = [exp(w - top) for w in log_weights]
    total = fsum(weights)
    return [w / total for w in weights]


def effective_size(log_weights: Sequence[float]) -> float:
    """(Σw)² / Σw²: from 1, where one particle has all the weight, to N."""
    return 1 / fsum(w * w for w in normalised(log_weights))
