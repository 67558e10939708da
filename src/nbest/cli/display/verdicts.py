"""Win-rates of judged runs."""

from __future__ import annotations

from nbest.arena.winrate import WinRates
from nbest.arena.winrate_table import blocks
from nbest.cli.display.console import out, print_json


def show_win_rates(rates: WinRates, *, as_json: bool) -> None:
    """Win-rates, and what the judge did."""
    if as_json:
        print_json(rates)
        return
    for block in blocks(rates):
        out.print(block)
