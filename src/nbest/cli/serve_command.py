"""`nbest serve`: the gateway."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from nbest.cli.command import command
from nbest.cli.options import BudgetOptions, EngineOptions, Seed, StrategyOptions


@command(
    "serve",
    'nbest serve --engine openai:http://localhost:8000/v1 --sample "hedged(n=5)" --select chops --port 8080',
    "nbest serve --config nbest.toml",
    "nbest serve --new-key team-a >> keys.toml",
)
def serve(
    engine: EngineOptions,
    strategy: StrategyOptions,
    config: Annotated[
        str | None,
        typer.Option(
            help="TOML file with these settings and the tables serve and presets; read again on SIGHUP;"
            " options given here take precedence."
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0: any that is free.", show_default="8080")
    ] = None,
    budget: BudgetOptions = BudgetOptions(),
    seed: Seed = None,
    record: Annotated[str | None, typer.Option(help="Directory that outcomes are recorded in.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve everybody who reaches the address, without keys.")
    ] = False,
    new_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Make an API key, print it once, and exit.")
    ] = None,
    new_operator_key: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The same for an operator, who may see /admin and /metrics."),
    ] = None,
) -> None:
    """Serve an OpenAI-compatible gateway in front of any model.

    Clients change their base URL; each answer is drawn, selected or fused as the options, the file or the request says.
    """
    if new_key is not None:
        _print_new_key(new_key, table="keys")
        return
    if new_operator_key is not None:
        _print_new_key(new_operator_key, table="operators")
        return
    from nbest.serve.start import serve as start

    given = engine.settings | strategy.settings | budget.settings
    given |= {"seed": seed, "host": host, "port": port, "record": record}
    start(config, given, insecure=insecure)


def _print_new_key(name: str, *, table: Literal["keys", "operators"]) -> None:
    """The lines for the file of keys on standard output, the key itself on standard error."""
    from nbest.serve.keys import new_key

    key, lines = new_key(name, table=table)
    print(lines, end="")
    print(f"the key, which nobody can show again: {key}", file=sys.stderr)
