"""`nbest compare`: selectors at every pool size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.options import AsJson, Cluster, JudgeOptions, Pools, Score, Seed, scoring_engines
from nbest.errors import InputError


@command("compare", 'nbest compare runs/first --select "first, vote, mbr(utility=chrf)" --n 1,2,4,8')
def compare(
    pools: Pools,
    select: Annotated[str, typer.Option(help="Selectors, such as 'first, vote, mbr(utility=chrf)'.")],
    n: Annotated[
        str | None, typer.Option("--n", help="Pool sizes, such as 1,2,4,8.", show_default="powers of two")
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
    """Compare selectors at every pool size.

    All sizes are subsets of the recorded pools. No model is asked, but for selectors and scores that are a
    judge's, which need --engine.
    """
    from rich.progress import Progress

    from nbest import registry
    from nbest.cli.display.console import err, print_json
    from nbest.cli.display.console import out as console
    from nbest.datasets import PoolsAt, read_pools
    from nbest.evaluate.compare import compare as compare_selectors
    from nbest.evaluate.comparison import MEAN
    from nbest.evaluate.scores import score_spec, split_specs
    from nbest.report import compared

    specs, sizes = split_specs(select), _sizes_of(n)
    for spec in specs:
        registry.parse("selectors", spec)
    if baseline and baseline != MEAN:
        registry.parse("selectors", baseline)

    recorded = list(read_pools(pools)) if pools == "-" else PoolsAt(pools)
    first = next(iter(recorded), None)
    if first is None:
        raise InputError(f"{pools} holds no pool")
    scorer = registry.parse("scorers", score_spec(score, first))

    progress = Progress(console=err, disable=not err.is_terminal, transient=True)
    with progress as bar, scoring_engines(engine) as engines:
        task = bar.add_task("comparing", total=None)
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
                on_prompt=lambda: bar.advance(task),
            )
        )

    if out is not None:
        compared.write(comparison, out)
    if as_json:
        print_json(comparison)
        return
    for table in compared.tables(comparison):
        console.print(table.terminal())


def _sizes_of(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--n {text}: write numbers with commas between them, such as 1,2,4") from None
