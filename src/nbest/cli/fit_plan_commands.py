"""`nbest fit plan` and `nbest fit show`: which strategy pays for which prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.options import AsJson, Cluster, Score, Seed
from nbest.errors import InputError


@command(
    "plan",
    "nbest fit plan runs/pool --budgets 4,8,16,32 --out plan.toml",
    "nbest fit plan runs/pool runs/beam runs/revise --verifier logprob --budgets 8,16,32 --out plan.toml",
)
def fit_plan(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Run directories or JSONL of pools on the same prompts: the one with the most draws is the pool,"
            " the others are options as they are."
        ),
    ],
    budgets: Annotated[
        str,
        typer.Option(help="What a prompt may cost, in mean answers, the pilot included: such as 4,8,16,32."),
    ],
    out: Annotated[Path, typer.Option(help="Where the plan goes; planned(FILE) reads it.")],
    pilot: Annotated[int, typer.Option(min=1, help="Draws that difficulty is predicted from.")] = 4,
    verifier: Annotated[
        str | None,
        typer.Option(
            help="Scorer of draws, for difficulty, best-of-N and weighted votes, such as logprob.",
            show_default="none",
        ),
    ] = None,
    stop: Annotated[
        str, typer.Option(help="Stopping rules that are options too; none leaves them out.")
    ] = "bayes_factor(10)",
    bins: Annotated[int, typer.Option(min=1, help="Bins of difficulty.")] = 5,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the held-out figures.")] = 2,
    prior: Annotated[
        float,
        typer.Option(
            min=0, help="Prompts that the choice for all counts as, beside a language's or task's own."
        ),
    ] = 50.0,
    resamples: Annotated[int, typer.Option(min=1, help="Random orders of the draws of each prompt.")] = 8,
    score: Score = None,
    cluster: Cluster = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Fit a plan to recorded runs: which strategy pays at which difficulty.

    The figures are of prompts that it was not fitted on, translations together.
    """
    import asyncio

    from rich.progress import Progress

    from nbest import registry
    from nbest.cli.display.console import err, print_json
    from nbest.cli.display.console import out as console
    from nbest.datasets import PoolsAt
    from nbest.evaluate.plan_learning import learn_plan
    from nbest.evaluate.plan_options import Wanted
    from nbest.evaluate.scores import score_spec, split_specs
    from nbest.plan.plan_file import write_plan
    from nbest.report import plan_tables

    first = next(iter(PoolsAt(runs[0])), None)
    if first is None:
        raise InputError(f"{runs[0]} holds no pool")
    spec = score_spec(score, first)
    stops: tuple[str, ...] = ()
    if stop != "none":
        stops = tuple(split_specs(stop))
    scorer = None
    if verifier is not None:
        scorer = registry.parse("scorers", verifier)
    wanted = Wanted(
        budgets=_numbers(budgets),
        pilot=pilot,
        verifier=scorer,
        stops=stops,
        num_orders=resamples,
        seed=seed or 0,
        cluster=cluster,
    )
    provenance = {"runs": [Path(path).name for path in runs], "score": spec}
    with Progress(console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def advance() -> None:
            bar.advance(task)

        plan = asyncio.run(
            learn_plan(
                runs,
                registry.parse("scorers", spec),
                wanted,
                num_bins=bins,
                prior=prior,
                num_folds=folds,
                provenance=provenance,
                on_prompt=advance,
            )
        )
    write_plan(plan, out)
    if as_json:
        print_json(plan)
        return
    console.print(plan_tables.held_out(plan).terminal())
    console.print(f"{out}: use it as planned('{out}'), or as auto(file='{out}')")


@command("show", "nbest fit show plan.toml", "nbest fit show plan.toml --run runs/served")
def fit_show(
    file: Annotated[str, typer.Argument(help="A plan, as  nbest fit plan  writes it.")],
    run: Annotated[
        str | None,
        typer.Option(help="A run that used the plan: does its mix of difficulty differ from the plan's?"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a plan: its figures, its choices, and how well it tells difficulty."""
    from nbest.cli.display.console import out as console
    from nbest.cli.display.console import print_json
    from nbest.evaluate.plan_drift import drift_in
    from nbest.plan.plan_file import read_plan
    from nbest.report import plan_tables

    plan = read_plan(file)
    if as_json:
        print_json(plan)
        return
    for table in plan_tables.tables(plan):
        console.print(table.terminal())
    if run is not None:
        console.print(drift_in(run, plan))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--budgets {text}: write numbers with commas between them, such as 4,8,16"
        ) from None
