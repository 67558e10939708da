"""What each run cost, by role."""

from __future__ import annotations

from nbest.accounting.costs import Costs
from nbest.report import charts
from nbest.report.charts import Part
from nbest.report.figure import Figure
from nbest.report.findings import Findings, Run
from nbest.report.table import Table, count
from nbest.types import Spent


def cost(found: Findings, costs: Costs) -> Figure:
    """Tokens per prompt as bars, and calls and FLOPs in the table."""
    columns = ["method", "role", "input", "output", "cached input", "calls"]
    if costs.sizes:
        columns.append("FLOPs")
    rows = [
        (run.label, name, *_cells(spent, run.num_prompts, costs))
        for run in found.runs
        for name, spent in _by_name(run)
    ]
    table = Table(title="Cost per prompt", columns=tuple(columns), rows=tuple(rows), num_text_columns=2)

    bars = [(run.label, _parts(run)) for run in found.runs]
    if not any(part.value > 0 for _, parts in bars for part in parts):
        return Figure("cost", "Cost by role", "The records say nothing about tokens.", None, [table])
    drawing = charts.bars(
        bars,
        title="Tokens by role",
        x_title="tokens per prompt",
        legend="{group} (pale: input, full: output)",
    )
    caption = (
        "What each prompt cost, as metered; input without what the same prompt had computed before. A choice made later"
        " from a recorded pool is charged for all that the pool's run spent."
    )
    return Figure("cost", "Cost by role", caption, drawing, [table])


def _by_name(run: Run) -> list[tuple[str, Spent]]:
    """What was spent by role, and by engine where a role has several."""
    roles = [spent.role for spent in run.meter.spent]
    found: list[tuple[str, Spent]] = []
    for spent in run.meter.spent:
        name = spent.role
        if roles.count(spent.role) > 1:
            name = f"{spent.role}: {spent.model or spent.engine}"
        found.append((name, spent))
    return found


def _cells(spent: Spent, num_prompts: int, costs: Costs) -> list[str]:
    usage = spent.usage
    numbers = (usage.prompt - spent.reused, usage.completion, spent.reused, usage.calls)
    cells = [count(round(number / num_prompts, 1)) for number in numbers]
    if not costs.sizes:
        return cells
    flops = costs.flops([spent])
    return [*cells, "–" if flops is None else f"{flops / num_prompts:.2e}"]


def _parts(run: Run) -> list[Part]:
    parts: list[Part] = []
    for role, usage in sorted(run.usage.items()):
        num_reused = sum(spent.reused for spent in run.meter.spent if spent.role == role)
        uncached = (usage.prompt - num_reused) / run.num_prompts
        parts.append(Part(role, f"{role} input", uncached, is_light=True))
        parts.append(Part(role, f"{role} output", usage.completion / run.num_prompts))
    return parts
