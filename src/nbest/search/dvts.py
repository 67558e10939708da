"""Diverse verifier tree search."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from nbest.search.machine import ROOT, Batch, Machine, Node, Plan, wish
from nbest.search.shares import dealt


@dataclass(frozen=True, slots=True, kw_only=True)
class Dvts(Machine):
    """Diverse verifier tree search: N/M independent beam searches of one beam each.

    Beeching, Tunstall and Rush 2024 ("Scaling test-time compute with open models"). The N first steps are
    dealt to the subtrees, M to each; a subtree keeps its best step and draws M next steps from it, whatever
    the other subtrees are worth. A finished answer takes a place among its subtree's M. With M = N it is
    beam search that keeps one beam.
    """

    is_open_to_clients: ClassVar[bool] = True

    width: int = 4
    """M, draws per subtree and round; the last subtrees get one less where M does not divide N. More than N is N."""

    def __post_init__(self) -> None:
        Machine.__post_init__(self)
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")

    def _first(self, rng: Random) -> Plan:
        num_subtrees = -(-self.n // self.width)
        places = tuple(dealt(self.n, [1.0] * num_subtrees))
        return Plan(wishes=tuple(wish(ROOT, m) for m in places), memory=places)

    def _next(self, batch: Batch) -> Plan:
        places: tuple[int, ...] = batch.state.memory
        nodes = batch.state.nodes
        kept: list[tuple[Node, int]] = []
        for (_, drawn), num_places in zip(batch.children, places, strict=True):
            mine = [nodes[i] for i in drawn if i is not None]
            left = num_places - sum(n.fate == "finished" for n in mine)
            goes_on = [n for n in mine if n.fate == "open"]
            if left and goes_on:
                kept.append((min(goes_on, key=lambda n: n.rank), left))
        return Plan(
            wishes=tuple(wish(node.id, left) for node, left in kept), memory=tuple(left for _, left in kept)
        )
