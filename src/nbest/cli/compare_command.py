"""`nbest compare`: selectors at every pool size, or stopping rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.options import AsJson, Cluster, JudgeOptions, Pools, Score, Seed, scoring_engines
from nbest.errors import InputError


@command(
    "compare",
    'nbest compare runs/first --select "first, vote, mbr(utility=chrf)" --n 1,2,4,8',
    'nbest compare runs/first --stop "first_n(8), adaptive_consistency, bayes_factor(10)" --wave 4',
)
def compare(
    pools: Pools,
    select: Annotated[
        str | None, typer.Option(help="Selectors, such as 'first, vote, mbr(utility=chrf)'.")
    ] = None,
    stop: Annotated[
        str | None,
        typer.Option(help="Stopping rules instead, such as 'adaptive_consistency, bayes_factor(10)'."),
    ] = None,
    wave: Annotated[int, typer.Option(min=1, help="With --stop: draws that are made at once.")] = 1,
    n: Annotated[
        str | None,
        typer.Option(
            "--n",
            help="Pool sizes, such as 1,2,4,8; with --stop, the draws at which it ends at the latest.",
            show_default="powers of two; with --stop, the smallest pool",
        ),
    ] = None,
    score: Score = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Selector to compare with; mean stands for the mean of all draws.",
            show_default="the first",
        ),
    ] = None,
    cluster: Cluster = None,
    resamples: Annotated[int, typer.Option(min=1, help="Random pools of each size per prompt.")] = 8,
    seed: Seed = None,
    engine: JudgeOptions = JudgeOptions(),
    out: Annotated[
        Path | None, typer.Option(help="Directory for the comparison, which nbest report reads.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare selectors at every pool size, or stopping rules.

    All sizes are subsets of the recorded pools. No model is asked, but for selectors and scores that are a
    judge's, which need --engine. Beside each stopping rule stands the cheapest fixed number of draws that is as good.
    """
    from functools import partial

    from rich.progress import Progress

    from nbest import registry
    from nbest.cli.display.console import err, print_json
    from nbest.cli.display.console import out as console
    from nbest.datasets import PoolsAt, read_pools
    from nbest.evaluate.compare import compare as compare_selectors
    from nbest.evaluate.comparison import MEAN
    from nbest.evaluate.scores import score_spec, split_specs
    from nbest.evaluate.stop_comparison import compare_stops
    from nbest.report import compared, stops_compared

    specs, sizes = split_specs(_specs_text(select, stop)), _sizes_of(n)
    kind = "selectors" if stop is None else "stops"
    for spec in specs:
        registry.parse(kind, spec)
    if stop is not None and baseline:
        raise InputError("--baseline is for selectors: beside each rule stands the cheapest number of draws")
    if baseline and baseline != MEAN:
        registry.parse(kind, baseline)

    recorded = list(read_pools(pools)) if pools == "-" else PoolsAt(pools)
    first = next(iter(recorded), None)
    if first is None:
        raise InputError(f"{pools} holds no pool")
    scorer = registry.parse("scorers", score_spec(score, first))

    progress = Progress(console=err, disable=not err.is_terminal, transient=True)
    with progress as bar, scoring_engines(engine) as engines:
        task = bar.add_task("comparing", total=None)

        def advance() -> None:
            bar.advance(task)

        if stop is not None:
            work = compare_stops(
                recorded,
                specs,
                scorer=scorer,
                num_draws=_single(sizes),
                wave=wave,
                cluster=cluster,
                num_orders=resamples,
                seed=seed or 0,
                engines=engines,
                on_prompt=advance,
            )
            stops_found = engines.run(work)
            tables = [stops_compared.table(stops_found)]
            found, write = stops_found, partial(stops_compared.write, stops_found)
        else:
            comparison = engines.run(
                compare_selectors(
                    recorded,
                    specs,
                    scorer=scorer,
                    sizes=sizes,
                    baseline=baseline,
                    cluster=cluster,
                    resamples=resamples,
                    seed=seed or 0,
                    engines=engines,
                    on_prompt=advance,
                )
            )
            tables = compared.tables(comparison)
            found, write = comparison, partial(compared.write, comparison)

    if out is not None:
        write(out)
    if as_json:
        print_json(found)
        return
    for table in tables:
        console.print(table.terminal())


def _specs_text(select: str | None, stop: str | None) -> str:
    """What is compared. Raises `InputError` for neither or both."""
    if (select is None) == (stop is None):
        raise InputError("give --select or --stop: selectors at every pool size, or stopping rules")
    return select or stop or ""


def _single(sizes: list[int] | None) -> int | None:
    """The one size. Raises `InputError` for several."""
    if sizes is None:
        return None
    if len(sizes) > 1:
        raise InputError("--n is one number with --stop: where each rule ends at the latest")
    return sizes[0]


def _sizes_of(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--n {text}: write numbers with commas between them, such as 1,2,4") from None
