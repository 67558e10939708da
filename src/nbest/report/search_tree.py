"""The tree of a search as a drawing: what was made from what, with values, the chosen answer's path marked."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from nbest.errors import InputError
from nbest.records import read_outcomes
from nbest.report.dot import to_dot
from nbest.report.svg import Svg, clipped
from nbest.types import Candidate, Outcome

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
    for n in sorted(nodes, key=lambda n: n.is_on_path):
        for k, (x, y) in enumerate([(p.x + _WIDTH, p.middle) for p in n.parents] or [(_ROOT, root)]):
            bend = _BETWEEN / 2
            path = f"M{x:g} {y:g} C{x + bend:g} {y:g} {n.x - bend:g} {n.middle:g} {n.x:g} {n.middle:g}"
            svg.shape("path", "edge other" if k else "edge on-path" if n.is_on_path else "edge", d=path)
    svg.shape("circle", "root", cx=_ROOT - 6, cy=root, r=6)
    shares = _shares(nodes)
    for n, share in zip(nodes, shares, strict=True):
        _box(svg, n, share)
    return svg


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
    """Parents first."""
    selection = outcome.selection
    candidates = list(outcome.candidates)
    if selection and all((c.id, c.text) != (selection.winner.id, selection.winner.text) for c in candidates):
        candidates.append(selection.winner)
    values = dict(selection.scores) if selection else {}
    if selection and "values" in selection.details:
        values = {int(i): v for i, v in selection.details["values"].items()}
    node_of: dict[int, _Node] = {}
    by_key: dict[object, _Node] = {}
    for c in candidates:
        parents = list(dict.fromkeys(node_of[p] for p in c.parents if p in node_of))
        key = (tuple(map(id, parents)), c.text, c.finish, c.error)
        node = by_key.get(key)
        if node is None:
            before = parents[0].candidate.text if len(parents) == 1 else ""
            depth = max((p.depth + 1 for p in parents), default=0)
            node = by_key[key] = _Node(c, parents, c.text.removeprefix(before), depth)
            if parents:
                parents[0].children.append(node)
        node.num += 1
        node.value = values.get(c.id) if node.value is None else node.value
        node.is_won |= selection is not None and selection.winner.id == c.id
        node_of[c.id] = node
    at = next((n for n in by_key.values() if n.is_won), None)
    while at:
        at.is_on_path = True
        at = at.parents[0] if at.parents else None
    return list(by_key.values())


def _place(nodes: Sequence[_Node]) -> float:
    """Columns by depth, parents amid their children; the height of it all."""
    below = 0.0
    for n in _best_first([n for n in nodes if not n.parents]):
        n.x = _ROOT + _BETWEEN + n.depth * (_WIDTH + _BETWEEN)
        n.y = below
        below += 0 if n.children else _HEIGHT + _APART
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
        order.append(node := left.pop())
        left += sorted(node.children, key=lambda n: n.rank, reverse=True)
    return order


def _shares(nodes: Sequence[_Node]) -> list[float]:
    """Values from 0 to 1, as they are where all lie there."""
    known = [n.value for n in nodes if n.value is not None]
    low = min([0.0, *known])
    high = max([1.0 if low == 0 else -inf, *known])
    return [0.0 if n.value is None else (n.value - low) / ((high - low) or 1) for n in nodes]


def _box(svg: Svg, n: _Node, share: float) -> None:
    c = n.candidate
    is_step = c.finish == "step"
    x, y, round_ = n.x, n.y, 3 if is_step else 14
    svg.shape("rect", "paper", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=round_)
    tint, tip = _TINT * share, c.error or c.text
    svg.shape("rect", "cell", tip, x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=round_, fill_opacity=tint)
    classes = ["box"]
    classes += ["left"] if is_step and not n.children else []
    classes += ["cut"] if c.error or c.finish == "length" else []
    classes += ["on-path"] if n.is_on_path else []
    svg.shape("rect", " ".join(classes), x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=round_)
    shown = clipped(" ".join((c.error or n.own).split()), _WIDTH - 2 * _PAD)
    if _is_from_right(shown):  # marks at its ends, for what has no direction there
        svg.text(x + _WIDTH - _PAD, y + 17, f"\u200f{shown}\u200f", anchor="end")
    else:
        svg.text(x + _PAD, y + 17, shown)
    value = [] if n.value is None else [f"{n.value:.3g}".replace("-", "−")]
    facts = [*value, *([f"×{n.num}"] if n.num > 1 else [])]
    svg.text(x + _PAD, y + 34, "  ".join(facts), "strong")
    svg.text(x + _WIDTH - _PAD, y + 34, f"{'★ ' if n.is_won else ''}#{c.id}", "faint", anchor="end")


def _is_from_right(text: str) -> bool:
    kinds = (unicodedata.bidirectional(ch) for ch in text)
    return next((k for k in kinds if k in {"L", "R", "AL"}), "L") != "L"
