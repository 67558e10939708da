"""A comparison of selectors as tables and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from nbest.errors import InputError
from nbest.evaluate.comparison import MEAN, Comparison, ComparisonCell
from nbest.report.table import Scale, Table, count, score_name

FILE = "comparison.json"


def tables(comparison: Comparison, language: str | None = None) -> list[Table]:
    """Scores with their cost, and gains over the baseline; of one language, or of all."""
    cells = {(c.select, c.n): c for c in comparison.cells if c.language == language}
    specs, ns = list(dict.fromkeys(s for s, _ in cells)), sorted({n for _, n in cells})
    scale = Scale.of(comparison.score, [c.value.value for c in cells.values()])
    unit = f" in {scale.unit}" if scale.unit else ""
    columns = ("selector", *(f"n = {n}" for n in ns))
    first = {n: cells[specs[0], n] for n in ns}
    values = [(s, *(scale.interval(cells[s, n].value) for n in ns)) for s in specs]
    values += _cost_rows(first)
    left_out = [
        f"{comparison.num_too_small} with fewer than {max(ns)} candidates" * (comparison.num_too_small > 0),
        f"{comparison.num_unscored} without a score for each candidate" * (comparison.num_unscored > 0),
    ]
    orders = max(c.num_orders for c in cells.values())
    note = (
        f"{first[ns[0]].num_prompts} prompts, 95 % intervals over prompts, translations together;"
        f" below the whole pool each is the mean of {orders} random pools per prompt."
    )
    if any(left_out):
        note += f" Left out: {'; '.join(filter(None, left_out))}."
    gains = [
        (s, *(scale.interval(cells[s, n].gain, signed=True) for n in ns))
        for s in specs
        if s != comparison.baseline
    ]
    found = [Table(title=score_name(comparison.score), columns=columns, rows=tuple(values), note=note)]
    if gains:
        title = f"gain over {baseline_name(comparison)} on the same pools{unit}"
        found.append(Table(title=title, columns=columns, rows=tuple(gains)))
    return found


def baseline_name(comparison: Comparison) -> str:
    """What gains are over, for a reader."""
    return "the mean of all candidates" if comparison.baseline == MEAN else comparison.baseline


def _cost_rows(cells: Mapping[int, ComparisonCell]) -> list[tuple[str, ...]]:
    roles = sorted({role for c in cells.values() for role in c.usage})
    return [
        (f"tokens {what} ({role})", *(count(getattr(c.usage[role], field)) for c in cells.values()))
        for role in roles
        for what, field in (("drawn", "completion"), ("read", "prompt"))
        if any(getattr(c.usage[role], field) for c in cells.values())
    ]


def write(comparison: Comparison, out: Path) -> None:
    """`comparison.json` and `comparison.md` in a directory, which a report can be made with."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; `out` must be a directory")
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(comparison), indent=1) + b"\n")
    text = "\n\n".join(t.markdown() for t in tables(comparison))
    (out / "comparison.md").write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> Comparison:
    """What `write` wrote. Raises `InputError`."""
    try:
        return msgspec.json.decode((path / FILE).read_bytes(), type=Comparison)
    except (OSError, msgspec.DecodeError) as e:
        raise InputError(f"{path / FILE}: {e}") from None
