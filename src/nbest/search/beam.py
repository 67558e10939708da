"""Beam search over steps, and lookahead search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from random import Random
from typing import ClassVar

from nbest.search.machine import ROOT, Batch, Machine, Node, Plan, wish
from nbest.search.shares import dealt
from nbest.types import Value, replace


class _Looking(Value, frozen=True, kw_only=True):
    """The greedy continuations that new nodes are judged by."""

    tip_by_node: dict[int, int | None]
    """Where the rollout of each new open node has come to; None where it failed."""
    steps: int
    """Of each, so far."""
    num_finished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beam(Machine):
    """Beam search against a verifier (Snell et al. 2024, arXiv 2408.03314, §5.2 and appendix C).

    N first steps are drawn; the N/M best by value are kept, and M next steps drawn from each, so that
    there are N again. A step that was drawn c times is c of the N, as in the paper, and may be kept c times;
    with `are_copies_kept=false` the N/M best different ones are (docs/search-curves.md has both). An answer that is
    finished takes its place among the N and is not drawn again: N less the finished ones are dealt over
    the kept beams in equal parts, as far as they divide. So the draws of a round and the answers finished
    before it sum to N, and so do the answers in the end, less those that failed.

    `lookahead=k` judges a step by where it leads (§5.3): by the value at the end of up to k further steps,
    continued greedily. It costs N·(k + 1) draws a round; the rollouts themselves are thrown away, unless
    they end: a finished rollout is an answer of the pool. k = 0 is beam search.
    """

    is_open_to_clients: ClassVar[bool] = True

    width: int | None = 4
    """M, next steps per kept beam; none: √N. The paper uses both. More than N is N."""
    lookahead: int = 0
    """k, greedy steps."""
    are_copies_kept: bool = True
    """Whether a step that was drawn several times may be kept as often."""

    def __post_init__(self) -> None:
        Machine.__post_init__(self)
        if self.width is not None and self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")
        if self.lookahead < 0:
            raise ValueError(f"lookahead must be at least 0 steps, got {self.lookahead}")

    @property
    def most_rounds(self) -> int:
        return self.rounds * (1 + self.lookahead)

    def _first(self, rng: Random) -> Plan:
        return Plan(wishes=(wish(ROOT, self.n, is_scored=not self.lookahead),), memory=0)

    def _next(self, batch: Batch) -> Plan:
        looking: int | _Looking = batch.state.memory
        if isinstance(looking, _Looking):
            return self._looked(batch, looking)
        num_finished = looking + sum(n.count for n in batch.nodes if n.fate == "finished")
        if not self.lookahead:
            return self._kept(batch.open, num_finished)
        tips: dict[int, int | None] = {n.id: n.id for n in batch.open}
        return self._look(batch, _Looking(tip_by_node=tips, steps=0, num_finished=num_finished))

    def _kept(self, nodes: Sequence[Node], num_finished: int) -> Plan:
        """The next steps of the best `nodes`."""
        left = max(0, self.n - num_finished)
        room = max(1, left // (self.width or max(1, isqrt(self.n))))
        goes_on = [n for n in nodes if n.depth < self.rounds]  # a round of lookahead is several batches
        copies: dict[int, float] = {}  # continued in one go, which reads their beginning once
        for node in sorted(goes_on, key=lambda n: n.rank):
            if taken := min(node.count if self.are_copies_kept else 1, room):
                copies[node.id] = taken
                room -= taken
        parts = zip(copies, dealt(left, list(copies.values())), strict=True)
        wishes = tuple(wish(node, n, is_scored=not self.lookahead) for node, n in parts)
        return Plan(wishes=wishes, memory=num_finished)

    def _look(self, batch: Batch, looking: _Looking) -> Plan:
        """One greedy step more of every rollout that goes on, or the end of looking."""
        nodes = batch.state.nodes
        tips = {node: None if tip is None else nodes[tip] for node, tip in looking.tip_by_node.items()}
        going = [tip.id for tip in tips.values() if tip and tip.fate == "open"]
        if looking.steps < self.lookahead and going:
            is_last = looking.steps + 1 == self.lookahead
            wishes = tuple(wish(tip, is_greedy=True, is_scored=is_last) for tip in going)
            return Plan(wishes=wishes, memory=looking)
        values = {node: tip.value if tip else None for node, tip in tips.items()}
        judged = [replace(nodes[node], value=value) for node, value in values.items()]
        return replace(self._kept(judged, looking.num_finished), values=values)

    def _looked(self, batch: Batch, looking: _Looking) -> Plan:
        drawn = {e.node: ids[0] for e, ids in batch.children}
        tips = {
            node: None if tip is None else drawn.get(tip, tip) for node, tip in looking.tip_by_node.items()
        }
        moved = replace(looking, tip_by_node=tips, steps=looking.steps + 1)
        return self._look(batch, moved)
