"""One answered prompt."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from nbest.accounting.meter import total
from nbest.cli.display.console import err, print_json
from nbest.cli.display.counts import (
    count_truncated,
    num_answers_and_steps,
    pool_in_words,
    truncation_warning,
)
from nbest.cli.flags import with_flags
from nbest.types import Candidate, Outcome, Selection


def show_answer(outcome: Outcome, *, with_pool: bool, as_json: bool) -> None:
    """The chosen text on standard output; notes, warnings, cost and the pool if wanted on standard error.

    As JSON the whole outcome on standard output, and nothing else.
    """
    if as_json:
        print_json(outcome)
        return

    for note in outcome.notes:
        err.print(Text(f"note: {with_flags(note)}", style="yellow"))
    if with_pool:
        err.print(pool_table(outcome))
    if outcome.selection is None:
        return

    print(outcome.selection.winner.text)
    num_answers, num_steps = num_answers_and_steps(outcome.candidates)
    num_tokens = total(outcome.usage).completion
    cost = f"{pool_in_words(num_answers, num_steps)}, {num_tokens} tokens, {outcome.seconds:.1f} s"
    err.print(cost, style="dim")
    warning = truncation_warning(count_truncated(outcome.candidates), num_answers)
    if warning:
        err.print(Text(f"warning: {warning}", style="yellow"))


def pool_table(outcome: Outcome) -> Table:
    """Every candidate with its score and weight; the winner is marked, failed ones show their error."""
    table = Table(show_lines=True)
    for column in ("", "candidate", "score", "weight"):
        table.add_column(column, overflow="fold")
    for candidate in outcome.candidates:
        table.add_row(*_pool_row(candidate, outcome.selection))
    return table


def _pool_row(candidate: Candidate, selection: Selection | None) -> tuple[Text, Text, str, str]:
    score = weight = None
    has_won = False
    if selection is not None:
        score = selection.scores.get(candidate.id)
        weight = selection.weights.get(candidate.id)
        has_won = selection.winner.id == candidate.id

    name = Text(f"{candidate.id} step" if candidate.finish == "step" else str(candidate.id))
    text = Text(candidate.text)
    if has_won:
        name, text = Text("✔", style="green"), Text(candidate.text, style="bold")
    if candidate.error:
        text = Text(candidate.error, style="red")
    return name, text, "" if score is None else f"{score:.3f}", f"{weight or 0.0:.2f}"
