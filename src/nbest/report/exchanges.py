"""A small model that votes against a larger one, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from nbest.evaluate.model_exchange import ExchangeRow
from nbest.report.table import Scale, Table, score_name


def exchange_table(rows: Sequence[ExchangeRow], score: str) -> Table:
    """A row for each rate and group of prompts."""
    scale = Scale.of(score, [row.large.value for row in rows])
    name = score_name(score)
    columns = (
        "rate",
        "prompts of",
        "prompts",
        "multiplier",
        "draws",
        f"small: {name}",
        f"large: {name}",
        "difference",
    )
    note = (
        "The small model's majority against one answer of the larger model, for the same cost; 95 % intervals over prompts, paired."
        " Bins by the share of right draws of the small model, in other draws than those that vote: easy from 50 %, hard below 10 %."
        " A + behind the draws: more could be paid for than are recorded."
    )
    return Table(
        title="exchange with a larger model",
        columns=columns,
        rows=tuple(_cells(row, scale) for row in rows),
        note=note,
        num_text_columns=2,
    )


def _cells(row: ExchangeRow, scale: Scale) -> tuple[str, ...]:
    draws = str(row.draws)
    if row.affordable > row.draws:
        draws += "+"
    small = difference = "none"
    if row.small is not None and row.difference is not None:
        small, difference = scale.interval(row.small), scale.interval(row.difference)
    head = (row.rate, row.group, str(row.num_prompts), f"{row.multiplier:.3g}", draws)
    return (*head, small, scale.interval(row.large), difference)
