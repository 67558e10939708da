"""A run in progress."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nbest.accounting.meter import total
from nbest.cli.display.console import err
from nbest.records import RunWriter
from nbest.types import Outcome


@contextmanager
def progress(num_items: int, writer: RunWriter) -> Generator[Callable[[Outcome], None]]:
    """A bar on standard error with output tokens and failures, to be called with each outcome.

    It begins at what `writer` holds already. Where standard error is no terminal nothing is shown.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tokens]} tokens"),
        TextColumn("{task.fields[failed]}", style="red"),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    )
    num_tokens = num_failed = 0
    with bar:
        num_recorded = min(len(writer.recorded), num_items)
        task = bar.add_task(writer.path.name, total=num_items, completed=num_recorded, tokens=0, failed="")

        def on_outcome(outcome: Outcome) -> None:
            nonlocal num_tokens, num_failed
            num_tokens += total(outcome.usage).completion
            num_failed += outcome.selection is None
            failed = f"{num_failed} failed" if num_failed else ""
            bar.update(task, advance=1, tokens=num_tokens, failed=failed)

        yield on_outcome
