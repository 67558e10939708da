"""Reward-balanced search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from nbest.search.machine import ROOT, Batch, Machine, Node, Plan, expand
from nbest.search.shares import dealt, softmax


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebase(Machine):
    """Reward-balanced search (Wu et al. 2024, arXiv 2408.00724): expand in proportion to softmax(value / T).

    draw N first steps
    in each round, of the open steps j of the last one:
        W_j ∝ count_j · exp(R_j / T)
        draw N − finished next steps, W_j of them from step j

    Shares are whole numbers by largest remainder, so that they sum to what is left, which rounding each (as in
    the paper) does not give. A step that was drawn c times is one node with c times the weight. A step without a
    value gets nothing beside steps with one.
    """

    is_open_to_clients: ClassVar[bool] = True

    temperature: float = 0.1
    """T, in the verifier's own unit: small is greedy, large is even. 0.1 suits values between 0 and 1."""

    def __post_init__(self) -> None:
        Machine.__post_init__(self)
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    def _first(self, rng: Random) -> Plan:
        return Plan(expansions=(expand(ROOT, self.n),), memory=0)

    def _next(self, batch: Batch) -> Plan:
        num_finished_before: int = batch.state.memory
        num_finished = num_finished_before + sum(n.count for n in batch.nodes if n.fate == "finished")
        num_left = max(0, self.n - num_finished)
        nodes = batch.open
        if not nodes:
            return Plan(memory=num_finished)

        shares = dealt(num_left, self.weights(nodes, batch))
        expansions = [expand(node.id, share) for node, share in zip(nodes, shares, strict=True)]
        return Plan(expansions=tuple(expansions), memory=num_finished)

    def weights(self, nodes: Sequence[Node], batch: Batch) -> list[float]:
        """W_j, up to a factor, of the open `nodes` (at least one)."""
        shares = softmax([n.value for n in nodes], self.temperature)
        return [n.count * share for n, share in zip(nodes, shares, strict=True)]
