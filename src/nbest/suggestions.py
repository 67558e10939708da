"""Names that an unknown name may be a slip of, for error messages."""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz import process

_MIN_SIMILARITY = 60
"""Of 100, by rapidfuzz's weighted ratio."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name of `known` that `name` may be a slip of; None where none is near."""
    found = process.extractOne(name, list(known), score_cutoff=_MIN_SIMILARITY)
    return found[0] if found else None


def did_you_mean(
    name: str, known: Iterable[str], *, label: str = "Known", num_shown: int | None = None
) -> str:
    """How a message about an unknown name ends: `; did you mean 'vote'? Known: best, vote`.

    Of `known`, the first `num_shown` are listed, in their order; None: all.
    """
    names = list(known)
    near = nearest(name, names)
    shown = f"{label}: {listed(names, num_shown=num_shown)}"
    if near is None:
        return f". {shown}"
    return f"; did you mean {near!r}? {shown}"


def listed(names: Iterable[str], *, num_shown: int | None = None) -> str:
    """The first `num_shown` names (None: all) with commas between them, and whether there are more."""
    every = list(names)
    shown = ", ".join(every[:num_shown]) or "nothing"
    is_cut = num_shown is not None and num_shown < len(every)
    return f"{shown} …" if is_cut else shown
