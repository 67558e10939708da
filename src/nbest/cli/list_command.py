"""`nbest list`: which plug-ins there are."""

from __future__ import annotations

from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.options import AsJson


@command("list", "nbest list selectors", "nbest list --json")
def list_plugins(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="strategies, samplers, selectors, scorers, searches, utilities, stops, tasks or engines."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List strategies, samplers, selectors and other plug-ins.

    With their parameters, defaults, and papers.
    """
    from nbest.cli.display import plugin_list

    plugin_list.show_plugins(kind, as_json=as_json)
