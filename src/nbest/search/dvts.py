"""Diverse verifier tree search."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from nbest.search.machine import ROOT, Batch, Expansion, Machine, Plan, expand
from nbest.search.shares import dealt


@dataclass(frozen=True, slots=True, kw_only=True)
class Dvts(Machine):
    """Diverse verifier tree search: N/M independent beam searches of one beam each.

    Beeching, Tunstall and Rush 2024 ("Scaling test-time compute with open models").

    deal N first steps to ⌈N/M⌉ subtrees, M to each
    in each round, in each subtree by itself:
        keep its best open step
        draw M next steps from it, less one for each answer that the subtree has finished

    With M = N it is beam search that keeps one beam.
    """

    is_open_to_clients: ClassVar[bool] = True

    width: int = 4
    """M, draws per subtree and round; the last subtrees get one less where M does not divide N. At most N counts."""

    def __post_init__(self) -> None:
        Machine.__post_init__(self)
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")

    def _first(self, rng: Random) -> Plan:
        num_subtrees = -(-self.n // self.width)
        places = dealt(self.n, [1.0] * num_subtrees)
        return Plan(expansions=tuple(expand(ROOT, num) for num in places), memory=tuple(places))

    def _next(self, batch: Batch) -> Plan:
        places: tuple[int, ...] = batch.state.memory
        expansions: list[Expansion] = []
        for (_, drawn), num_places in zip(batch.children, places, strict=True):
            nodes = [batch.state.nodes[i] for i in drawn if i is not None]
            open_nodes = [node for node in nodes if node.fate == "open"]
            num_left = num_places - sum(node.fate == "finished" for node in nodes)
            if open_nodes and num_left:
                best = min(open_nodes, key=lambda node: node.rank)
                expansions.append(expand(best.id, num_left))
        return Plan(expansions=tuple(expansions), memory=tuple(e.n for e in expansions))
