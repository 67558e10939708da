"""Reward-balanced search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from nbest.search.machine import ROOT, Batch, Machine, Node, Plan, wish
from nbest.search.shares import dealt, softmax


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebase(Machine):
    """Reward-balanced search (Wu et al. 2024, arXiv 2408.00724): expand in proportion to softmax(value / T).

    N first steps; then each round deals N draws, less the answers finished so far, over all open steps of
    the last round: W_j ∝ exp(R_j / T). Shares are whole numbers by largest remainder, so that they sum to
    what is left, which rounding each (as in the paper) does not give. A step drawn c times is one node with
    c times the weight. A step without a value gets nothing beside steps with one.
    """

    is_open_to_clients: ClassVar[bool] = True

    temperature: float = 0.1
    """T, in the verifier's own unit: small is greedy, large is even. 0.1 suits values between 0 and 1."""

    def __post_init__(self) -> None:
        Machine.__post_init__(self)
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    def _first(self, rng: Random) -> Plan:
        return Plan(wishes=(wish(ROOT, self.n),), memory=0)

    def _next(self, batch: Batch) -> Plan:
        num_finished: int = batch.state.memory + sum(n.count for n in batch.nodes if n.fate == "finished")
        nodes = batch.open
        parts = dealt(max(0, self.n - num_finished), self.weights(nodes, batch)) if nodes else []
        return Plan(
            wishes=tuple(wish(node.id, part) for node, part in zip(nodes, parts, strict=True)),
            memory=num_finished,
        )

    def weights(self, nodes: Sequence[Node], batch: Batch) -> list[float]:
        """Of the open nodes, which are never none."""
        shares = softmax([n.value for n in nodes], self.temperature)
        return [n.count * share for n, share in zip(nodes, shares, strict=True)]
