"""Particle filtering, and particle Gibbs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, fsum, inf, log
from random import Random
from typing import ClassVar, Literal

from nbest.search.machine import ROOT, Batch, Machine, Node, Plan, wish
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
    def is_going_on(self) -> bool:
        return not all(p.is_over for p in self.particles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Particles(Machine):
    """Particle filtering over steps (Puri et al. 2025, arXiv 2502.01618).

    N particles; each round draws one step for each, weighs it by the verifier, and where the effective
    sample size (Σw)² / Σw² falls below `ess`·N, draws N of them anew in proportion to their weights
    (systematic resampling: no particle of share s gets fewer than ⌊N·s⌋ or more than ⌈N·s⌉ places). A
    finished particle keeps its weight and its place until it is resampled away. A particle whose draw
    failed has no weight.

    A particle's log-potential is its value / T (`exp`), log value / T (`value`) or log-odds / T (`odds`).
    The target is P(answer) · potential(last step) with `target=last`: answers of any length compete
    fairly; with `target=product` it is the paper's P(answer) · Π_t potential(step t). There a finished
    particle is weighed again in every round; here it is not, and so the product of mean weights is an
    unbiased estimate of the target's normalising constant, as sequential Monte Carlo promises.

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
        most = 1.0 if self.potential == "odds" else inf
        if self.potential == "exp" or all(n.value is None or 0 <= n.value <= most for n in nodes):
            return None
        return (
            f"particles: values are not between 0 and 1, and potential={self.potential} takes those beyond for the"
            " nearest: use potential=exp, or a verifier that gives probabilities"
        )

    def _first(self, rng: Random) -> Plan:
        return self._wanting(Cloud(particles=(Particle(),) * self.n))

    def _next(self, batch: Batch) -> Plan:
        cloud = self._moved(batch.state.memory, batch, {e.node: iter(ids) for e, ids in batch.children})
        while cloud.is_going_on and cloud.depth < self.rounds:
            plan = self._wanting(cloud)
            if plan.wishes:
                return plan
            cloud = self._moved(cloud, batch, {})  # the retained answer alone goes on: nothing to draw
        if cloud.sweep + 1 == self.sweeps or all(p.log_weight == -inf for p in cloud.particles):
            return Plan(memory=cloud)
        return self._wanting(self._swept(cloud, batch))

    def _moved(self, cloud: Cloud, batch: Batch, drawn: Mapping[int, Iterator[int | None]]) -> Cloud:
        """One step on, and resampled where it is time."""
        particles = self._stepped(cloud, batch.state.nodes, drawn)
        cloud = replace(cloud, depth=cloud.depth + 1, particles=particles)
        if cloud.is_going_on and _ess([p.log_weight for p in particles]) < self.ess * self.n:
            return _resampled(cloud, batch.rng)
        return cloud

    def _wanting(self, cloud: Cloud) -> Plan:
        """One expansion per node, for all the particles on it."""
        counts: dict[int, int] = {}
        for i, p in enumerate(cloud.particles):
            if not p.is_over and not (i == 0 and cloud.reference):
                counts[p.node] = counts.get(p.node, 0) + 1
        return Plan(wishes=tuple(wish(node, n) for node, n in counts.items()), memory=cloud)

    def _stepped(
        self, cloud: Cloud, all_nodes: Sequence[Node], drawn: Mapping[int, Iterator[int | None]]
    ) -> tuple[Particle, ...]:
        """Every particle on its next node, weighed."""
        at: list[int | None] = [
            None
            if p.is_over
            else cloud.reference[cloud.depth]
            if i == 0 and cloud.reference
            else next(drawn[p.node])
            for i, p in enumerate(cloud.particles)
        ]
        nodes = [None if i is None else all_nodes[i] for i in at]
        levels = self._levels(nodes, cloud.depth + 1)
        return tuple(
            p if p.is_over else self._weighed(p, node, level)
            for p, node, level in zip(cloud.particles, nodes, levels, strict=True)
        )

    def _weighed(self, p: Particle, node: Node | None, level: float) -> Particle:
        if node is None:
            return replace(p, log_weight=-inf, is_over=True)
        gained = level - p.level if self.target == "last" else level
        return Particle(
            node=node.id,
            log_weight=p.log_weight + gained,
            level=level,
            is_over=node.fate == "finished",
        )

    def _levels(self, nodes: Sequence[Node | None], depth: int) -> list[float]:
        """Log-potentials; a step without a value has the least of the round."""
        known = [self._level(n, depth) for n in nodes if n and n.value is not None]
        least = min(known, default=0.0)
        return [self._level(n, depth) if n and n.value is not None else least for n in nodes]

    def _level(self, node: Node, depth: int) -> float:
        value = node.value or 0.0
        if self.potential != "exp":
            p = min(1 - _EDGE, max(_EDGE, value)) if self.potential == "odds" else max(_EDGE, value)
            value = log(p / (1 - p)) if self.potential == "odds" else log(p)
        strength = 1.0 if node.fate == "finished" or not self.anneal else min(1.0, depth / self.anneal)
        return strength * value / self.temperature

    def _swept(self, cloud: Cloud, batch: Batch) -> Cloud:
        """The next sweep, which follows one answer of this one."""
        [kept] = batch.rng.choices(cloud.particles, _weights([p.log_weight for p in cloud.particles]))
        path: list[int] = []
        at: int | None = kept.node
        while at is not None and at != ROOT:
            path.append(at)
            at = batch.state.nodes[at].parent
        return Cloud(particles=(Particle(),) * self.n, sweep=cloud.sweep + 1, reference=tuple(reversed(path)))


def log_evidence(cloud: Cloud) -> float:
    """Log of the estimated normalising constant, −∞ where every particle was lost."""
    weights = [p.log_weight for p in cloud.particles]
    top = max(weights)
    if top == -inf:
        return -inf
    return cloud.log_evidence + top + log(fsum(exp(w - top) for w in weights) / len(weights))


def _resampled(cloud: Cloud, rng: Random) -> Cloud:
    weights = _weights([p.log_weight for p in cloud.particles])
    n = len(weights)
    if cloud.reference:
        chosen = [0, *rng.choices(range(n), weights, k=n - 1)]
    else:
        chosen = systematic(weights, rng.random())
    particles = tuple(replace(cloud.particles[i], log_weight=0.0) for i in chosen)
    return replace(cloud, particles=particles, log_evidence=log_evidence(cloud))


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


def _weights(log_weights: Sequence[float]) -> list[float]:
    """Sum to 1; equal where all are lost."""
    top = max(log_weights)
    if top == -inf:
        return [1 / len(log_weights)] * len(log_weights)
    weights = [exp(w - top) for w in log_weights]
    total = fsum(weights)
    return [w / total for w in weights]


def _ess(log_weights: Sequence[float]) -> float:
    weights = _weights(log_weights)
    return 1 / fsum(w * w for w in weights)
