"""A comparison of stopping rules as a table and on disk."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nbest.errors import InputError
from nbest.evaluate.stop_comparison import FixedN, StopComparison, StopResult
from nbest.plan.stop_file import StopFile
from nbest.report.table import Scale, Table, count, score_name

FILE = "stops.json"


def table(comparison: StopComparison) -> Table:
    """A row for each rule."""
    scale = Scale.of(comparison.score, comparison.fixed_values)
    has_input = any(result.input_tokens for result in comparison.results)
    columns = ["rule", score_name(comparison.score), "draws"]
    if has_input:
        columns.append("input tokens")
    columns += ["output tokens", "latency", "cheapest n as good", "its tokens", "ratio"]
    rows = [_row(result, scale, has_input=has_input) for result in comparison.results]
    return Table(
        title=f"stopping rules, {comparison.wave} draw{_s(comparison.wave)} at a time",
        columns=tuple(columns),
        rows=tuple(rows),
        note=_note(comparison),
    )


def fitted_table(fitted: StopFile, score: str) -> Table:
    """What a fitted rule does at each λ on held-out prompts; the one that was chosen is marked."""
    scale = Scale.of(score, [row.value for row in fitted.held_out])
    rows: list[tuple[str, ...]] = []
    for row in fitted.held_out:
        mark = ""
        if row.lam == fitted.lam:
            mark = " ←"
        cells = [f"{row.lam:.3g}{mark}", scale.number(row.value), f"{row.draws:.1f}", f"{row.tokens:.2f}"]
        decides = ""
        if row.is_behind:
            decides = " decides"
        cells += [f"{row.b:g}{decides}", scale.number(row.rule_value), f"{row.rule_tokens:.2f}"]
        rows.append((*cells, str(row.fixed_n), scale.number(row.fixed_value)))

    name = score_name(score)
    columns = ("λ", name, "draws", "mean answers", "best bayes_factor", name, "mean answers", "best n", name)
    note = (
        "On prompts that it was not fitted on; the rule and the n are the best ones at that λ on the others."
        " Where the rule is better by more than half a standard error, it decides."
    )
    return Table(title="learned stopping", columns=columns, rows=tuple(rows), note=note)


def write(comparison: StopComparison, out: Path) -> None:
    """`stops.json` and `stops.md` in a directory. Raises `InputError` where `out` is a file."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; `out` must be a directory")
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(comparison), indent=1) + b"\n")
    (out / "stops.md").write_text(table(comparison).markdown() + "\n", encoding="utf-8")


def _row(result: StopResult, scale: Scale, *, has_input: bool) -> tuple[str, ...]:
    cells = [result.stop, scale.interval(result.value), f"{result.draws:.1f}"]
    if has_input:
        cells.append(count(result.input_tokens))
    cells += [count(result.output_tokens), count(result.latency), _n(result.fixed, scale)]
    cells += [count(result.fixed.output_tokens), result.token_ratio.text(lambda ratio: f"{ratio:.2f}")]
    return tuple(cells)


def _n(fixed: FixedN, scale: Scale) -> str:
    """Where no n is as good, the best one with its score."""
    if fixed.is_as_good:
        return str(fixed.n)
    return f"none (best: {fixed.n}, {scale.number(fixed.value)})"


def _note(comparison: StopComparison) -> str:
    note = (
        f"{comparison.num_prompts} prompts, {comparison.num_orders} random orders of at most"
        f" {comparison.num_draws} draws each, 95 % intervals over prompts. Tokens and latency (output tokens"
        " waited for, one after the other) are means per prompt; the ratio is of output tokens."
    )
    left_out: list[str] = []
    if comparison.num_too_small:
        left_out.append(f"{comparison.num_too_small} with fewer draws")
    if comparison.num_unscored:
        left_out.append(f"{comparison.num_unscored} without a score for each draw")
    if left_out:
        note += f" Left out: {'; '.join(left_out)}."
    if comparison.num_without_length:
        num = comparison.num_without_length
        note += f" {num} draw{_s(num)} without recorded tokens count as the prompt's mean draw."
    return note


def _s(number: int) -> str:
    return "" if number == 1 else "s"
