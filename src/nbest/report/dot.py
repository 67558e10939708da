"""A search as a drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbest.types import Candidate, Outcome

_MOST_SHOWN = 40


def to_dot(outcome: Outcome) -> str:
    """The tree of an outcome's candidates in Graphviz's DOT language: own text, value, how each ended.

    Boxes are steps, ellipses answers (the chosen one bold), dashed ones failed or were cut off. Draws of
    the same text stay apart, as in the record. Values are those in `Selection.details["values"]`, where
    `tree` puts them. Any outcome can be drawn; one without parents is a row.
    """
    selection = outcome.selection
    values: Mapping[str, Any] = {}
    if selection:
        values = selection.details.get("values", {})
    by_id = {c.id: c for c in outcome.candidates}
    lines = [
        "digraph nbest {",
        "  rankdir=LR;",
        f"  prompt [label={_quoted(outcome.prompt.id)}, shape=plain];",
    ]
    for c in outcome.candidates:
        parents = [by_id[p] for p in c.parents if p in by_id]
        before = ""
        if parents:
            before = parents[0].text
        label = _label(c, before, values.get(str(c.id)))
        style: list[str] = []
        if selection and selection.winner.id == c.id:
            style.append("bold")
        if c.finish not in {"stop", "step"}:
            style.append("dashed")
        shape = "ellipse"
        if c.finish == "step":
            shape = "box"
        lines.append(f'  c{c.id} [label={_quoted(label)}, shape={shape}, style="{",".join(style)}"];')
        lines += [f"  c{p.id} -> c{c.id};" for p in parents] or [f"  prompt -> c{c.id};"]
    return "\n".join([*lines, "}"]) + "\n"


def _label(c: Candidate, before: str, value: float | None) -> str:
    own = " ".join((c.error or c.text.removeprefix(before)).split())
    if len(own) > _MOST_SHOWN:
        own = f"{own[: _MOST_SHOWN - 1]}…"
    if value is None:
        return own
    return f"{own}\n{value:.3g}"


def _quoted(text: str) -> str:
    """As DOT reads it; a line's end as its escape, lone surrogates and NUL, where Graphviz ends, as U+FFFD."""
    clean = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "\ufffd")
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
