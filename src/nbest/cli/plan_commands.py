"""`nbest plan …`: what compute would buy, told from recorded pools."""

from __future__ import annotations

from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.options import AsJson, Cluster, Score, Seed
from nbest.errors import InputError


@command(
    "exchange",
    "nbest plan exchange runs/small runs/large --times 14",
    "nbest plan exchange runs/small runs/large --times 14 --inference-tokens 2e12 --pretraining-tokens 1e13",
    "nbest plan exchange runs/small runs/large --small-price 0.2 --large-price 2",
)
def exchange(
    small: Annotated[str, typer.Argument(help="Run directory or JSONL of pools of the small model.")],
    large: Annotated[
        str,
        typer.Argument(help="The same of the larger model, for the same prompts; one draw each is enough."),
    ],
    times: Annotated[
        float | None, typer.Option(help="How many times as many active parameters the larger model has.")
    ] = None,
    inference_tokens: Annotated[
        float | None,
        typer.Option(
            help="Tokens of inference in the model's life; with --pretraining-tokens, in place of R = 0.16, 0.79 and 22."
        ),
    ] = None,
    pretraining_tokens: Annotated[float | None, typer.Option(help="Tokens of pre-training.")] = None,
    small_price: Annotated[
        float | None, typer.Option(help="Instead of FLOPs: price of an output token of the small model.")
    ] = None,
    large_price: Annotated[float | None, typer.Option(help="Price of one of the larger model.")] = None,
    score: Score = None,
    cluster: Cluster = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Compare a small model that votes with one answer of a larger model, for the same FLOPs or money.

    FLOPs of pre-training are counted (arXiv 2408.03314): the fewer tokens of inference there are for each token of pre-training,
    the more the small model may draw. Per difficulty bin and language.
    """
    import asyncio

    from nbest import registry
    from nbest.cli.display.console import out as console
    from nbest.cli.display.console import print_json
    from nbest.datasets import PoolsAt
    from nbest.evaluate.model_exchange import exchange_rows, read_pair
    from nbest.evaluate.scores import score_spec
    from nbest.report import exchanges

    rates = _rates(times, (inference_tokens, pretraining_tokens), (small_price, large_price))
    first = next(iter(PoolsAt(small)), None)
    if first is None:
        raise InputError(f"{small} holds no pool")
    spec = score_spec(score, first)
    scorer = registry.parse("scorers", spec)
    pair = asyncio.run(read_pair(PoolsAt(small), PoolsAt(large), scorer, cluster=cluster))
    rows = exchange_rows(*pair, rates, seed=seed or 0)
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    console.print(exchanges.exchange_table(rows, spec).terminal())


def _rates(
    times: float | None,
    traffic: tuple[float | None, float | None],
    prices: tuple[float | None, float | None],
) -> dict[str, float]:
    """Multipliers by what they are of. Raises `InputError` for options that do not go together."""
    from nbest.plan.exchange import PAPER_RATIOS, inference_multiplier, price_multiplier, traffic_ratio_of

    for names, pair in (("tokens", traffic), ("prices", prices)):
        if (pair[0] is None) != (pair[1] is None):
            raise InputError(f"give both {names} or neither")
    try:
        if prices[0] is not None and prices[1] is not None:
            if times is not None or traffic[0] is not None:
                raise InputError(
                    "give prices, or --times with tokens: one of them decides what the small model may draw"
                )
            return {"prices": price_multiplier(prices[0], prices[1])}
        if times is None:
            raise InputError(
                "give --times, the ratio of active parameters, or --small-price and --large-price"
            )
        ratios = PAPER_RATIOS
        if traffic[0] is not None and traffic[1] is not None:
            ratios = (traffic_ratio_of(inference_tokens=traffic[0], pretraining_tokens=traffic[1]),)
        return {f"R = {ratio:.3g}": inference_multiplier(times, ratio) for ratio in ratios}
    except ValueError as e:
        raise InputError(str(e)) from None


PLAN_COMMANDS = (exchange,)
