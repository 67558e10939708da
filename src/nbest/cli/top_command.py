"""`nbest top`: what a gateway does now."""

from __future__ import annotations

from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.options import AsJson


@command(
    "top",
    "nbest top http://localhost:8080",
    "nbest top http://localhost:8080 --once --json",
)
def top(
    url: Annotated[str, typer.Argument(help="Address of the gateway, with or without /v1.")],
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and exit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Watch a gateway's requests and spend.

    Live requests, and totals by key, language and strategy.
    The key of an operator of the gateway is read from NBEST_OPERATOR_KEY.
    """
    from nbest.cli.display import gateway_view

    gateway_view.watch(url, every_s=every, is_once=once, as_json=as_json)
