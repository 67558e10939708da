"""The tree of a search as a drawing: what was made from what, with values, the chosen answer's path marked."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from nbest.errors import InputError
from nbest.evaluate.ingestion import is_new
from nbest.records import read_outcomes
from nbest.report.dot import to_dot
from nbest.report.svg import Svg, clipped
from nbest.types import Candidate, Outcome, Selection

_WIDTH, _HEIGHT, _APART, _BETWEEN, _ROOT, _PAD = 190, 42, 8, 30, 12, 9
_TINT = 0.32
"""How strong the colour of the best value is."""


@dataclass(eq=False, slots=True)
class _Node:
    """Draws of one text after one parent."""

    candidate: Candidate
    parents: list[_Node]
    own: str
    depth: int
    value: float | None = None
    num: int = 0
    children: list[_Node] = field(default_factory=list["_Node"])
    is_won: bool = False
    is_on_path: bool = False
    x: float = 0
    y: float = 0

    @property
    def rank(self) -> tuple[float, int]:
        """Sorts the best first."""
        return inf if self.value is None else -self.value, self.candidate.id

    @property
    def middle(self) -> float:
        return self.y + _HEIGHT / 2


def tree_svg(outcome: Outcome) -> Svg:
    """Steps as boxes, answers rounded, from left to right; of siblings the one with the highest value on top.

    Draws of the same text are one node (×n). Numbers and colours are the verifier's values
    (`details["values"]`), else the method's scores; the chosen answer has a star. Dashed: cut off or failed.
    Any outcome can be drawn; one whose candidates have no parents is a column. Raises `InputError` for one
    without candidates.
    """
    nodes = _nodes(outcome)
    if not nodes:
        raise InputError(f"{outcome.prompt.id} has no candidate to draw: {outcome.error or outcome.stopped}")
    height = _place(nodes)
    svg = Svg(max(n.x for n in nodes) + _WIDTH, f"The tree of {outcome.prompt.id}")
    svg.height = height + _APART
    roots = [n.middle for n in nodes if not n.parents]
    root = (min(roots) + max(roots)) / 2
    for node in sorted(nodes, key=lambda n: n.is_on_path):
        _draw_edges(svg, node, root)
    svg.shape("circle", "root", cx=_ROOT - 6, cy=root, r=6)
    for node, share in zip(nodes, _shares(nodes), strict=True):
        _draw_box(svg, node, share)
    return svg


def _draw_edges(svg: Svg, node: _Node, root: float) -> None:
    """From the node's parents, or from the prompt, which stands at height `root`."""
    starts = [(parent.x + _WIDTH, parent.middle) for parent in node.parents] or [(_ROOT, root)]
    bend = _BETWEEN / 2
    for k, (x, y) in enumerate(starts):
        path = (
            f"M{x:g} {y:g} C{x + bend:g} {y:g} {node.x - bend:g} {node.middle:g} {node.x:g} {node.middle:g}"
        )
        to_first = "edge"
        if node.is_on_path:
            to_first = "edge on-path"
        svg.shape("path", "edge other" if k else to_first, d=path)


def draw(run: Path, prompt_id: str | None, out: Path) -> Path:
    """Writes the tree of one recorded prompt (the first without a name) as .svg or .dot.

    Raises `InputError` for a prompt that the run does not have, or another kind of file.
    """
    if out.suffix not in {".svg", ".dot"}:
        raise InputError(f"{out}: the drawing is written as .svg or .dot")
    outcomes = {o.prompt.id: o for o in read_outcomes(run)}
    if not outcomes:
        raise InputError(f"{run} has no outcome")
    outcome = outcomes.get(prompt_id or min(outcomes))
    if outcome is None:
        raise InputError(f"{run} has no prompt {prompt_id!r}; it has {', '.join(sorted(outcomes)[:5])} …")
    text = to_dot(outcome) if out.suffix == ".dot" else tree_svg(outcome).alone()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as e:
        raise InputError(f"{out} cannot be written: {e.strerror}") from None
    return out


def _nodes(outcome: Outcome) -> list[_Node]:
    """Parents first; draws of one text after the same parents are one node."""
    selection = outcome.selection
    candidates = list(outcome.candidates)
    if selection and is_new(selection.winner, candidates):
        candidates.append(selection.winner)
    values = _values(selection)
    node_by_id: dict[int, _Node] = {}
    node_by_key: dict[object, _Node] = {}
    for c in candidates:
        parents = list(dict.fromkeys(node_by_id[p] for p in c.parents if p in node_by_id))
        key = (tuple(map(id, parents)), c.text, c.finish, c.error)
        if key not in node_by_key:
            node_by_key[key] = _node_of(c, parents)
        node = node_by_id[c.id] = node_by_key[key]
        node.num += 1
        if node.value is None:
            node.value = values.get(c.id)
        node.is_won |= selection is not None and selection.winner.id == c.id
    nodes = list(node_by_key.values())
    _mark_path(nodes)
    return nodes


def _values(selection: Selection | None) -> Mapping[int, float]:
    """The verifier's values by candidate id, else the method's scores."""
    if selection is None:
        return {}
    if "values" in selection.details:
        return {int(i): value for i, value in selection.details["values"].items()}
    return selection.scores


def _node_of(c: Candidate, parents: list[_Node]) -> _Node:
    """A new node under its first parent; of a step, its own text is what it adds to its only parent's."""
    before = ""
    if len(parents) == 1:
        before = parents[0].candidate.text
    depth = max((parent.depth + 1 for parent in parents), default=0)
    node = _Node(c, parents, c.text.removeprefix(before), depth)
    if parents:
        parents[0].children.append(node)
    return node


def _mark_path(nodes: Sequence[_Node]) -> None:
    """From the chosen answer back to its root."""
    node = next((n for n in nodes if n.is_won), None)
    while node is not None:
        node.is_on_path = True
        node = next(iter(node.parents), None)


def _place(nodes: Sequence[_Node]) -> float:
    """Columns by depth, parents amid their children; the height of it all."""
    below = 0.0
    for n in _best_first([n for n in nodes if not n.parents]):
        n.x = _ROOT + _BETWEEN + n.depth * (_WIDTH + _BETWEEN)
        n.y = below
        if not n.children:
            below += _HEIGHT + _APART
    for n in sorted(nodes, key=lambda n: -n.depth):
        if n.children:
            ys = [child.y for child in n.children]
            n.y = (min(ys) + max(ys)) / 2
    return below - _APART


def _best_first(roots: Sequence[_Node]) -> list[_Node]:
    """Each node before its children, as a reader goes through them; not recursive, for chains may be long."""
    order: list[_Node] = []
    left = sorted(roots, key=lambda n: n.rank, reverse=True)
    while left:
        node = left.pop()
        order.append(node)
        left += sorted(node.children, key=lambda n: n.rank, reverse=True)
    return order


def _shares(nodes: Sequence[_Node]) -> list[float]:
    """Values from 0 to 1, as they are where all lie there; a node without a value has 0."""
    known = [n.value for n in nodes if n.value is not None]
    low = min([0.0, *known])
    high = max(known, default=0.0)
    if low == 0:
        high = max(1.0, high)
    width = (high - low) or 1
    return [0.0 if n.value is None else (n.value - low) / width for n in nodes]


def _draw_box(svg: Svg, node: _Node, share: float) -> None:
    """A rounded box for an answer, a square one for a step; `share` is how strong its colour is."""
    c = node.candidate
    frame = {"x": node.x, "y": node.y, "width": _WIDTH, "height": _HEIGHT}
    frame["rx"] = 3 if c.finish == "step" else 14
    svg.shape("rect", "paper", None, **frame)
    svg.shape("rect", "cell", c.error or c.text, **frame, fill_opacity=_TINT * share)
    svg.shape("rect", " ".join(_classes(node)), None, **frame)
    _draw_text(svg, node)

    facts: list[str] = []
    if node.value is not None:
        facts.append(f"{node.value:.3g}".replace("-", "−"))
    if node.num > 1:
        facts.append(f"×{node.num}")
    svg.text(node.x + _PAD, node.y + 34, "  ".join(facts), "strong")
    star = ""
    if node.is_won:
        star = "★ "
    svg.text(node.x + _WIDTH - _PAD, node.y + 34, f"{star}#{c.id}", "faint", anchor="end")


def _classes(node: _Node) -> list[str]:
    c = node.candidate
    classes = ["box"]
    if c.finish == "step" and not node.children:
        classes.append("left")
    if c.error or c.finish == "length":
        classes.append("cut")
    if node.is_on_path:
        classes.append("on-path")
    return classes


def _draw_text(svg: Svg, node: _Node) -> None:
    """The node's own text on one line, from its own side."""
    shown = clipped(" ".join((node.candidate.error or node.own).split()), _WIDTH - 2 * _PAD)
    if _is_from_right(shown):  # marks at its ends, for what has no direction there
        svg.text(node.x + _WIDTH - _PAD, node.y + 17, f"\u200f{shown}\u200f", anchor="end")
    else:
        svg.text(node.x + _PAD, node.y + 17, shown)


def _is_from_right(text: str) -> bool:
    kinds = (unicodedata.bidirectional(ch) for ch in text)
    return next((k for k in kinds if k in {"L", "R", "AL"}), "L") != "L"
