"""`nbest fit mixture`: weights of several engines in one vote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.options import AsJson, Cluster, Score, Seed
from nbest.errors import InputError


@command(
    "mixture",
    "nbest fit mixture runs/small runs/large",
    "nbest fit mixture a=runs/small b=runs/large --price 0.2 --price 0.6 --lambda 0.01",
)
def fit_mixture(
    pools: Annotated[
        list[str],
        typer.Argument(
            help="One run directory or JSONL of pools for each engine, of the same prompts; NAME=PATH names the engine."
        ),
    ],
    price: Annotated[
        list[float] | None,
        typer.Option(
            help="Price of an engine's output token; once for each engine, in order.", show_default="1"
        ),
    ] = None,
    lambda_: Annotated[
        float,
        typer.Option("--lambda", min=0, help="What a draw of mean cost must gain, as a share of prompts."),
    ] = 0.0,
    n: Annotated[
        int | None, typer.Option("--n", min=1, help="Draws that are read.", show_default="the smallest pool")
    ] = None,
    score: Score = None,
    cluster: Cluster = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Fit the shares of several engines' draws in one vote, for mixture(engines=…, weights=…).

    Weights with the most right majorities (Best-of-∞, arXiv 2509.21091). The figures are of prompts that they were not fitted on.
    """
    import asyncio

    from nbest import registry
    from nbest.cli.display.console import out as console
    from nbest.cli.display.console import print_json
    from nbest.datasets import PoolsAt
    from nbest.evaluate.joined_pools import join
    from nbest.evaluate.mixture_learning import learn_mixture
    from nbest.evaluate.scores import score_spec
    from nbest.report import mixtures

    names, paths = _named(pools)
    if price and len(price) != len(paths):
        raise InputError(f"give --price once for each of the {len(paths)} engines, or not at all")
    sources = [PoolsAt(path) for path in paths]
    first = next(iter(sources[0]), None)
    if first is None:
        raise InputError(f"{paths[0]} holds no pool")

    spec = score_spec(score, first)
    joined = asyncio.run(join(sources, registry.parse("scorers", spec), num_draws=n, cluster=cluster))
    result = learn_mixture(joined, names, prices=price, lam=lambda_, seed=seed or 0)
    if as_json:
        fit = result.fit
        print_json(
            {
                "spec": result.spec,
                "engines": names,
                "weights": fit.weights_E.tolist(),
                "margin": fit.margin,
                "num_right": fit.num_right,
                "num_prompts": result.num_prompts,
                "is_optimal": fit.is_optimal,
                "fold_weights": result.fold_weights,
                "held_out": [row._asdict() for row in result.held_out],
            }
        )
        return
    console.print(mixtures.held_out_table(result, spec).terminal())
    console.print(f"sampler: {result.spec}", markup=False)


def _named(pools: list[str]) -> tuple[list[str], list[str]]:
    """Names and paths of the engines; without a name, that of the file or directory. Raises `InputError`."""
    names: list[str] = []
    paths: list[str] = []
    for given in pools:
        name, equals, path = given.partition("=")
        if not equals or Path(given).exists():
            name, path = Path(given).stem, given
        names.append(name)
        paths.append(path)
    if len(paths) < 2:  # noqa: PLR2004
        raise InputError("a mixture needs the pools of at least two engines")
    if len(set(names)) < len(names):
        raise InputError(f"two engines are called the same in {', '.join(names)}: name them with NAME=PATH")
    return names, paths
