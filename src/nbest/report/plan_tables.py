"""A plan as tables."""

from __future__ import annotations

from nbest.evaluate.estimators import Estimate
from nbest.plan.plan_file import HeldOutRow, Plan
from nbest.report.table import Scale, Table, score_name


def tables(plan: Plan) -> list[Table]:
    """Held-out figures, choices, and predicted against oracle bins."""
    return [held_out(plan), choices(plan), bins(plan)]


def held_out(plan: Plan) -> Table:
    """What the plan is worth at each budget on prompts that it was not fitted on."""
    scale = _scale(plan)
    name = score_name(_score(plan))
    columns = (
        "budget",
        name,
        "cost",
        "best single strategy",
        name,
        "cost",
        "plan − single",
        "oracle bins",
        "cheapest fixed pool as good",
        name,
        "its tokens / the plan's",
    )
    note = "Budgets and costs in mean answers, the pilot included; 95 % intervals over prompts, translations together."
    return Table(
        title="plan, held out",
        columns=columns,
        rows=tuple(_held_out_row(row, scale) for row in plan.held_out),
        note=note,
    )


def _held_out_row(row: HeldOutRow, scale: Scale) -> tuple[str, ...]:
    ratio = Scale(decimals=2)
    return (
        f"{row.budget:g}",
        scale.interval(Estimate(row.value, row.value_low, row.value_high)),
        f"{row.cost:.2f}",
        row.single,
        scale.number(row.single_value),
        f"{row.single_cost:.2f}",
        scale.interval(Estimate(row.gain, row.gain_low, row.gain_high), signed=True),
        f"{scale.number(row.oracle_value)} at {row.oracle_cost:.2f}",
        row.fixed,
        scale.number(row.fixed_value),
        ratio.interval(Estimate(row.saved, row.saved_low, row.saved_high)),
    )


def choices(plan: Plan) -> Table:
    """The strategy of each bin and budget; then those of languages and tasks."""
    scale = _scale(plan)
    rows: list[tuple[str, ...]] = []
    for choice in sorted(plan.choices, key=lambda c: (c.budget, c.bin)):
        whom = ", ".join(filter(None, (choice.language, choice.task))) or "all"
        rows.append(
            (
                f"{choice.budget:g}",
                str(choice.bin),
                whom,
                choice.strategy,
                scale.number(choice.value),
                f"{choice.cost:.2f}",
                str(choice.num_prompts),
            )
        )
    columns = ("budget", "bin", "prompts", "strategy", score_name(_score(plan)), "cost", "fitted on")
    return Table(title="choices", columns=columns, rows=tuple(rows), num_text_columns=4)


def bins(plan: Plan) -> Table:
    """Predicted bins (rows) against those of the oracle, in per cent of the prompts."""
    columns = ("predicted", *(f"oracle {b + 1}" for b in range(len(plan.confusion))))
    rows = [
        (f"bin {b + 1}", *(f"{100 * share:.1f}" for share in shares))
        for b, shares in enumerate(plan.confusion)
    ]
    note = "Bin 1 is the easiest. Held out."
    return Table(title="difficulty: % of prompts", columns=columns, rows=tuple(rows), note=note)


def _score(plan: Plan) -> str | None:
    return plan.provenance.get("score")


def _scale(plan: Plan) -> Scale:
    return Scale.of(_score(plan), [row.value for row in plan.held_out])
