"""What all searches are: a state machine that asks for expansions of nodes and is told the children.

    state = search.start(seed)
    while expansions := search.ask(state):
        for child in ...:                    # one for each draw of each expansion, in any order
            state = search.tell(state, child)

A batch is a barrier: the machine moves when it was told the last child of the batch, and sees them in the
order of expansions and draws. So the order of telling changes nothing, telling a child twice changes
nothing, and a state depends on the seed and on what was told alone. States are frozen and picklable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from nbest.protocols import Utility
from nbest.types import Value, replace

ROOT = 0
"""The empty answer."""

Fate = Literal["open", "finished", "dead"]
"""What may follow a node: more steps; nothing, it is a whole answer; nothing, it failed or was cut off."""


class Expansion(Value, frozen=True, kw_only=True):
    """`n` next steps to be drawn from one node."""

    id: int = 0
    """Its number within the search, which the machine gives."""
    node: int
    n: int = 1
    is_greedy: bool = False
    """The likeliest step instead of a sampled one."""
    is_scored: bool = True
    """Whether steps need a value; whole answers always get one."""


class Child(Value, frozen=True, kw_only=True):
    """What became of one draw."""

    expansion: int
    draw: int
    """0 … n − 1."""
    text: str = ""
    """The answer so far, all steps from the first one."""
    value: float | None = None
    """Higher is better; None where nobody could say, which counts as the least."""
    fate: Fate = "open"
    likeness: tuple[float, ...] = ()
    """To each child of the batch, itself included, in the order of expansions and draws; 0–1.
    Empty where the search has no use for it."""


class Node(Value, frozen=True, kw_only=True):
    """A distinct text of the tree; draws of the same text are one node."""

    id: int
    parent: int | None
    text: str = ""
    value: float | None = None
    fate: Fate = "open"
    depth: int = 0
    count: int = 1
    """How many draws of its batch gave this text."""

    @property
    def rank(self) -> tuple[bool, float, int]:
        """Sorts the best first; of equals the older."""
        return self.value is None, -(self.value or 0.0), self.id


class State(Value, frozen=True, kw_only=True):
    """All that a search knows."""

    seed: int
    nodes: tuple[Node, ...] = (Node(id=ROOT, parent=None),)
    """By id."""
    open: tuple[Expansion, ...] = ()
    """The batch that is waited for; empty when the search is done."""
    told: Mapping[tuple[int, int], Child] = {}
    """Of the open batch, by expansion and draw."""
    round: int = 0
    """Batches completed."""
    num_expansions: int = 0
    memory: Any = None
    """The method's own; a frozen value."""
    notes: tuple[str, ...] = ()
    """What the method had to do otherwise than asked; each text once."""

    @property
    def is_done(self) -> bool:
        return not self.open


class Batch(Value, frozen=True, kw_only=True):
    """A completed batch, as the method sees it."""

    state: State
    """Its nodes include the new ones; its `memory` is still the old one."""
    children: tuple[tuple[Expansion, tuple[int | None, ...]], ...]
    """Node ids of each expansion's draws, in order; None for draws that are not there."""
    likeness: Mapping[tuple[int, int], float]
    """Of two nodes of this batch, where it was told."""
    rng: Random
    """The same whenever this state moves."""

    @property
    def nodes(self) -> list[Node]:
        """The distinct nodes of the batch, by id."""
        ids = {i for _, drawn in self.children for i in drawn if i is not None}
        return [self.state.nodes[i] for i in sorted(ids)]

    @property
    def open(self) -> list[Node]:
        """Those that may be continued, best first."""
        return sorted((n for n in self.nodes if n.fate == "open"), key=lambda n: n.rank)


class Plan(Value, frozen=True, kw_only=True):
    """What a method wants next."""

    expansions: tuple[Expansion, ...] = ()
    """Numbered by the machine. The search ends where there is none with n > 0."""
    memory: Any = None
    """The method's own state, until the batch is complete."""
    values: Mapping[int, float | None] = {}
    """New values of nodes, by id."""


def expand(node: int, n: int = 1, *, is_greedy: bool = False, is_scored: bool = True) -> Expansion:
    """An expansion that has no number yet."""
    return Expansion(node=node, n=n, is_greedy=is_greedy, is_scored=is_scored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine(ABC):
    """A search method: its parameters, what it draws first, and what it draws after each batch."""

    n: int = 16
    """How many answers are wanted."""
    rounds: int = 40
    """Steps of an answer at most (40 in arXiv 2408.03314)."""

    def __post_init__(self) -> None:
        for name in ("n", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def similarity(self) -> Utility | None:
        """None: the method does not compare steps with each other."""
        return None

    @property
    def most_rounds(self) -> int:
        """Batches after which the search ends, whatever it would draw next."""
        return self.rounds

    def num_draws(self, steps: int) -> int:
        """How many steps are drawn at most for answers of `steps` steps."""
        num_passes = self.most_rounds // self.rounds
        return self.n * min(self.rounds, steps) * num_passes

    def start(self, seed: int) -> State:
        """The state before anything was drawn; its first expansions are in it."""
        state = State(seed=seed)
        return _planned(state, self._first(Random(f"{seed}/0")))  # noqa: S311

    def ask(self, state: State) -> Sequence[Expansion]:
        """What to draw next; asking again gives the same. Nothing when the search is done."""
        return state.open

    def tell(self, state: State, child: Child) -> State:
        """The state that knows `child`. A child that nobody waits for, or that is known, changes nothing."""
        key = (child.expansion, child.draw)
        if key in state.told or not any(e.id == key[0] and 0 <= key[1] < e.n for e in state.open):
            return state
        told = {**state.told, key: child}
        if len(told) < sum(e.n for e in state.open):
            return replace(state, told=told)
        batch = _completed(state, told)
        note = self._note(batch.nodes)
        if note is not None and note not in state.notes:
            batch = replace(batch, state=replace(batch.state, notes=(*state.notes, note)))
        moved = batch.state
        if moved.round >= self.most_rounds:
            return replace(moved, open=())
        return _planned(moved, self._next(batch))

    def _note(self, nodes: Sequence[Node]) -> str | None:
        """What a user should know about the values of a batch; the same text each time it applies."""
        return None

    @abstractmethod
    def _first(self, rng: Random) -> Plan:
        """What is drawn from the root."""

    @abstractmethod
    def _next(self, batch: Batch) -> Plan:
        """What is drawn once `batch` is complete."""


def _planned(state: State, plan: Plan) -> State:
    """The state that waits for what `plan` draws."""
    nodes = list(state.nodes)
    for id_, value in plan.values.items():
        nodes[id_] = replace(nodes[id_], value=value)
    wanted = [e for e in plan.expansions if e.n > 0]
    numbered = [replace(e, id=state.num_expansions + i) for i, e in enumerate(wanted)]
    return replace(
        state,
        nodes=tuple(nodes),
        open=tuple(numbered),
        num_expansions=state.num_expansions + len(numbered),
        memory=plan.memory,
    )


def _completed(state: State, told: Mapping[tuple[int, int], Child]) -> Batch:
    """The batch in its own order; children with the same text are one node, and dead ones are none."""
    nodes = list(state.nodes)
    node_by_text: dict[tuple[Fate, str], int] = {}
    slots: list[Child] = []
    node_by_slot: list[int | None] = []
    children: list[tuple[Expansion, tuple[int | None, ...]]] = []
    for expansion in state.open:
        drawn = [told[expansion.id, i] for i in range(expansion.n)]
        ids = [_node_of(child, expansion.node, nodes, node_by_text) for child in drawn]
        children.append((expansion, tuple(ids)))
        slots += drawn
        node_by_slot += ids

    moved = replace(state, nodes=tuple(nodes), told={}, round=state.round + 1)
    return Batch(
        state=moved,
        children=tuple(children),
        likeness=_likeness(slots, node_by_slot),
        rng=Random(f"{state.seed}/{moved.round}"),  # noqa: S311
    )


def _node_of(
    child: Child, parent: int, nodes: list[Node], node_by_text: dict[tuple[Fate, str], int]
) -> int | None:
    """The id of the child's node, which is made, or counted once more; None for a dead child.

    `node_by_text` has the new nodes of the batch. A text that ended and the same text that goes on are two nodes.
    """
    if child.fate == "dead":
        return None
    known = node_by_text.get((child.fate, child.text))
    if known is not None:
        nodes[known] = replace(nodes[known], count=nodes[known].count + 1)
        return known

    id_ = node_by_text[child.fate, child.text] = len(nodes)
    depth = nodes[parent].depth + 1
    nodes.append(
        Node(id=id_, parent=parent, text=child.text, value=child.value, fate=child.fate, depth=depth)
    )
    return id_


def _likeness(slots: Sequence[Child], node_by_slot: Sequence[int | None]) -> dict[tuple[int, int], float]:
    """Of each two nodes: that of the first two children that are these nodes."""
    likeness: dict[tuple[int, int], float] = {}
    for child, a in zip(slots, node_by_slot, strict=True):
        for b, value in zip(node_by_slot, child.likeness, strict=False):
            if a is not None and b is not None:
                likeness.setdefault((a, b), value)
    return likeness
