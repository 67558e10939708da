"""Beam search over steps, and lookahead search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from random import Random
from typing import ClassVar

from nbest.search.machine import ROOT, Batch, Machine, Node, Plan, expand
from nbest.search.shares import dealt
from nbest.types import Value, replace


class _Lookahead(Value, frozen=True, kw_only=True):
    """The greedy rollouts under way, by which new nodes are judged."""

    tip_by_node: dict[int, int | None]
    """The last node of the rollout of each new open node; None where a draw of it failed."""
    num_steps: int
    """Of each rollout, so far."""
    num_finished: int
    """Answers finished before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beam(Machine):
    """Beam search against a verifier (Snell et al. 2024, arXiv 2408.03314, §5.2 and appendix C).

    draw N first steps
    in each round:
        keep the N/M best open steps of the last one, by value
        draw M next steps from each of them, so that there are N again

    A step that was drawn c times is c of the N, as in the paper, and may be kept c times; with
    `are_copies_kept=false` the N/M best different ones are (docs/search-curves.md has both). A finished answer takes its
    place among the N and is not drawn again: N less the finished ones are dealt over the kept beams in equal parts, as
    far as they divide. So the draws of a round and the answers finished before it sum to N, and so do the
    answers in the end, less those that failed.

    `lookahead=k` (§5.3) values a step by the value at the end of up to k further steps, drawn greedily. It costs
    N·(k + 1) draws a round; the rollouts are thrown away, unless they end: a finished rollout is an answer of the
    pool. k = 0 is beam search.
    """

    is_open_to_clients: ClassVar[bool] = True

    width: int | None = 4
    """M, next steps per kept beam; none: √N. The paper uses both. At most N counts."""
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
        return Plan(expansions=(expand(ROOT, self.n, is_scored=not self.lookahead),), memory=0)

    def _next(self, batch: Batch) -> Plan:
        memory: int | _Lookahead = batch.state.memory
        if isinstance(memory, _Lookahead):
            return self._look(batch, _moved(memory, batch))

        num_finished = memory + sum(n.count for n in batch.nodes if n.fate == "finished")
        if not self.lookahead:
            return self._widen(batch.open, num_finished)
        tips: dict[int, int | None] = {node.id: node.id for node in batch.open}
        return self._look(batch, _Lookahead(tip_by_node=tips, num_steps=0, num_finished=num_finished))

    def _widen(self, nodes: Sequence[Node], num_finished: int) -> Plan:
        """Next steps of the best `nodes`."""
        num_left = max(0, self.n - num_finished)
        width = self.width or max(1, isqrt(self.n))
        copies = self._kept(nodes, max(1, num_left // width))
        shares = dealt(num_left, list(copies.values()))
        is_scored = not self.lookahead
        expansions = [expand(id_, n, is_scored=is_scored) for id_, n in zip(copies, shares, strict=True)]
        return Plan(expansions=tuple(expansions), memory=num_finished)

    def _kept(self, nodes: Sequence[Node], num_beams: int) -> dict[int, float]:
        """The ids of the best nodes, each with how many of the beams it is."""
        may_go_on = [
            node for node in nodes if node.depth < self.rounds
        ]  # a round of lookahead is several batches
        copies: dict[int, float] = {}
        room = num_beams
        for node in sorted(may_go_on, key=lambda node: node.rank):
            num_copies = min(room, node.count if self.are_copies_kept else 1)
            if num_copies:
                copies[node.id] = num_copies
                room -= num_copies
        return copies

    def _look(self, batch: Batch, looking: _Lookahead) -> Plan:
        """One more greedy step of every rollout that goes on; once they are long enough, the next round."""
        nodes = batch.state.nodes
        tips = {id_: None if tip is None else nodes[tip] for id_, tip in looking.tip_by_node.items()}
        open_tips = [tip.id for tip in tips.values() if tip and tip.fate == "open"]
        if looking.num_steps < self.lookahead and open_tips:
            is_last = looking.num_steps + 1 == self.lookahead
            greedy = [expand(tip, is_greedy=True, is_scored=is_last) for tip in open_tips]
            return Plan(expansions=tuple(greedy), memory=looking)

        values = {id_: None if tip is None else tip.value for id_, tip in tips.items()}
        valued = [replace(nodes[id_], value=value) for id_, value in values.items()]
        return replace(self._widen(valued, looking.num_finished), values=values)


def _moved(looking: _Lookahead, batch: Batch) -> _Lookahead:
    """The rollouts after the greedy steps of `batch`."""
    next_by_tip = {expansion.node: ids[0] for expansion, ids in batch.children}
    tips: dict[int, int | None] = {}
    for id_, tip in looking.tip_by_node.items():
        tips[id_] = None if tip is None else next_by_tip.get(tip, tip)
    return replace(looking, tip_by_node=tips, num_steps=looking.num_steps + 1)
