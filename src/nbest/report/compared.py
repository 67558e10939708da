"""A comparison of selectors as tables and on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from nbest.errors import InputError
from nbest.evaluate.comparison import MEAN, Comparison, ComparisonCell
from nbest.report.table import Scale, Table, count, score_name

FILE = "comparison.json"


def tables(comparison: Comparison, language: str | None = None) -> list[Table]:
    """Scores with their cost, and gains over the baseline; of one language, or of all."""
    cells = {(c.select, c.n): c for c in comparison.cells if c.language == language}
    specs = list(dict.fromkeys(spec for spec, _ in cells))
    ns = sorted({n for _, n in cells})
    scale = Scale.of(comparison.score, [c.value.value for c in cells.values()])
    columns = ("selector", *(f"n = {n}" for n in ns))
    scores = [(s, *(scale.interval(cells[s, n].value) for n in ns)) for s in specs]
    gains = [
        (s, *(scale.interval(cells[s, n].gain, signed=True) for n in ns))
        for s in specs
        if s != comparison.baseline
    ]
    found = [
        Table(
            title=score_name(comparison.score),
            columns=columns,
            rows=(*scores, *_cost_rows([cells[specs[0], n] for n in ns])),
            note=_note(comparison, list(cells.values())),
        )
    ]
    if gains:
        unit = ""
        if scale.unit:
            unit = f" in {scale.unit}"
        title = f"gain over {baseline_name(comparison)} on the same pools{unit}"
        found.append(Table(title=title, columns=columns, rows=tuple(gains)))
    return found


def _note(comparison: Comparison, cells: Sequence[ComparisonCell]) -> str:
    num_orders = max(c.num_orders for c in cells)
    note = (
        f"{cells[0].num_prompts} prompts, 95 % intervals over prompts, translations together;"
        f" below the whole pool each is the mean of {num_orders} random pools per prompt."
    )
    left_out: list[str] = []
    if comparison.num_too_small:
        left_out.append(f"{comparison.num_too_small} with fewer than {max(c.n for c in cells)} draws")
    if comparison.num_unscored:
        left_out.append(f"{comparison.num_unscored} without a score for each draw")
    if left_out:
        note += f" Left out: {'; '.join(left_out)}."
    return note


def baseline_name(comparison: Comparison) -> str:
    """What gains are over, for a reader."""
    if comparison.baseline == MEAN:
        return "the mean of all draws"
    return comparison.baseline


def _cost_rows(cells: Sequence[ComparisonCell]) -> list[tuple[str, ...]]:
    """Output and input tokens by role, a cell for each pool size; no row of zeros alone."""
    roles = sorted({role for cell in cells for role in cell.usage})
    rows: list[tuple[str, ...]] = []
    for role in roles:
        spent = [cell.usage[role] for cell in cells]
        if any(tokens.completion for tokens in spent):
            rows.append((f"output tokens ({role})", *(count(tokens.completion) for tokens in spent)))
        if any(tokens.prompt for tokens in spent):
            rows.append((f"input tokens ({role})", *(count(tokens.prompt) for tokens in spent)))
    return rows


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
