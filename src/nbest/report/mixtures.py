"""What a fitted mixture of engines does, as a table."""

from __future__ import annotations

from nbest.evaluate.mixture_learning import MixtureResult
from nbest.report.table import Scale, Table, count, score_name


def held_out_table(result: MixtureResult, score: str) -> Table:
    """A row for each size of a vote: the mixture beside the best single engine, on held-out prompts."""
    scale = Scale.of(score, [row.mixture.value for row in result.held_out])
    rows = [
        (
            str(row.n),
            scale.interval(row.mixture),
            scale.interval(row.single),
            scale.interval(row.difference),
            count(row.cost),
            count(row.single_cost),
        )
        for row in result.held_out
    ]
    name = score_name(score)
    note = (
        f"{result.num_prompts} prompts in two halves: weights and the single engine are chosen on one, and tried on"
        " the other; means over random orders of the draws, 95 % intervals. Cost is output tokens times price."
        f" With all prompts the right answer leads in {result.fit.num_right}."
    )
    columns = ("draws", f"mixture: {name}", f"best engine: {name}", "difference", "cost", "its cost")
    return Table(title="mixture of engines", columns=columns, rows=tuple(rows), note=note)
