"""A plan as tables."""

from __future__ import annotations

from nbest import registry
from nbest.evaluate.estimators import Estimate
from nbest.plan.plan_file import Plan
from nbest.report.table import Scale, Table, score_name
from nbest.strategies.parallel import Parallel
from nbest.strategies.pool_size import pool_size


def tables(plan: Plan) -> list[Table]:
    """Held-out figures, choices, and predicted against oracle bins."""
    return [held_out(plan), saved(plan), choices(plan), bins(plan)]


def held_out(plan: Plan) -> Table:
    """What the plan is worth at each budget on prompts that it was not fitted on."""
    scale = _scale(plan)
    name = score_name(_score(plan))
    columns = ("budget", name, "cost", "single", "its cost", "plan − single")
    rows = [
        (
            f"{row.budget:g}",
            scale.interval(Estimate(row.value, row.value_low, row.value_high)),
            f"{row.cost:.2f}",
            scale.number(row.single_value),
            f"{row.single_cost:.2f}",
            scale.interval(Estimate(row.gain, row.gain_low, row.gain_high), signed=True),
        )
        for row in plan.held_out
    ]
    note = (
        "Single: the best strategy for all prompts, chosen by the same rule. Budgets and costs in mean answers, the pilot"
        " included; 95 % intervals over prompts, translations together."
    )
    return Table(title="plan, held out", columns=columns, rows=tuple(rows), note=note)


def saved(plan: Plan) -> Table:
    """The cheapest pool of a fixed size that is as good, and the plan that knows the oracle's bins."""
    scale, ratio = _scale(plan), Scale(decimals=2)
    name = score_name(_score(plan))
    columns = ("fixed pool", "budget", name, "its tokens / the plan's", "oracle bins", "at cost")
    rows = [
        (
            short_name(row.fixed),
            f"{row.budget:g}",
            scale.number(row.fixed_value),
            ratio.interval(Estimate(row.saved, row.saved_low, row.saved_high)),
            scale.number(row.oracle_value),
            f"{row.oracle_cost:.2f}",
        )
        for row in plan.held_out
    ]
    note = "The cheapest fixed pool that is as good as the plan; where none is, the best one, and the ratio says little."
    return Table(title="compute saved, held out", columns=columns, rows=tuple(rows), note=note)


def short_name(spec: str) -> str:
    """`vote, n=8` for a pool; other strategies as they are."""
    strategy = registry.parse("strategies", spec)
    if not isinstance(strategy, Parallel):
        return spec
    name = f"{registry.spec_of(strategy.selector)}, n={pool_size(strategy)}"
    if strategy.stop is not None:
        name += f", {registry.spec_of(strategy.stop)}"
    return name


def choices(plan: Plan) -> Table:
    """The strategy of each bin and budget; then those of languages and tasks."""
    scale = _scale(plan)
    rows: list[tuple[str, ...]] = []
    for choice in sorted(plan.choices, key=lambda c: (c.budget, c.bin)):
        whom = ", ".join(filter(None, (choice.language, choice.task))) or "all"
        rows.append(
            (
                short_name(choice.strategy),
                whom,
                f"{choice.budget:g}",
                str(choice.bin),
                scale.number(choice.value),
                f"{choice.cost:.2f}",
                str(choice.num_prompts),
            )
        )
    columns = ("strategy", "prompts", "budget", "bin", score_name(_score(plan)), "cost", "fitted on")
    return Table(title="choices", columns=columns, rows=tuple(rows), num_text_columns=2)


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
