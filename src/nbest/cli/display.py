"""What the command line prints: tables and colours on a terminal, plain lines elsewhere, JSON for scripts."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from nbest import registry
from nbest.accounting.meter import total
from nbest.records import RunWriter, read_outcomes
from nbest.types import Candidate, Outcome, Usage

if TYPE_CHECKING:
    from nbest.arena.winrate import WinRates

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
SHORT_STRATEGIES = (
    "A search or selector is a strategy by itself: `beam(n=16, verifier=rollouts)` is"
    " `tree(search=beam(n=16), verifier=rollouts)`, and `best_of_n(n=8, scorer=logprob)` is"
    " `parallel(sampler=hedged(n=8), selector=best(scorer=logprob))`."
)


def _json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def answer(outcome: Outcome, *, pool: bool, as_json: bool) -> None:
    """The chosen text on standard output; what it cost, and the pool where asked for, on standard error."""
    if as_json:
        _json(outcome)
        return
    for note in outcome.notes:
        err.print(f"note: {note}", style="yellow")
    if pool:
        err.print(_pool_table(outcome))
    if outcome.selection:
        print(outcome.selection.winner.text)
        spent = total(outcome.usage)
        pool_size = counted(*num_answers_and_steps(outcome.candidates))
        err.print(f"{pool_size}, {spent.completion} tokens, {outcome.seconds:.1f} s", style="dim")


def num_answers_and_steps(candidates: Sequence[Candidate]) -> tuple[int, int]:
    """How many candidates compete as answers, and how many are a search's steps on the way to them."""
    num_steps = sum(c.finish == "step" for c in candidates)
    return len(candidates) - num_steps, num_steps


def counted(num_answers: int, num_steps: int) -> str:
    """`8 candidates, 16 steps`; of a search alone the steps."""
    return f"{num_answers} candidates" + (f", {num_steps} steps" if num_steps else "")


def why_no_answer(outcome: Outcome) -> str:
    """What an outcome without a selection says, and what cut it short."""
    why = outcome.error or "nothing was chosen"
    return f"{why} (the {outcome.stopped} ended it)" if outcome.stopped in {"budget", "deadline"} else why


@contextmanager
def progress(num_items: int, writer: RunWriter) -> Generator[Callable[[Outcome], None]]:
    """A bar on standard error, with tokens per second and failures; begins where the run was left."""
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
    with bar:
        task = bar.add_task(
            writer.path.name,
            total=num_items,
            completed=min(len(writer.recorded), num_items),
            tokens=0,
            failed="",
        )
        tokens = failures = 0

        def on_outcome(outcome: Outcome) -> None:
            nonlocal tokens, failures
            tokens += total(outcome.usage).completion
            failures += outcome.selection is None
            bar.update(task, advance=1, tokens=tokens, failed=f"{failures} failed" if failures else "")

        yield on_outcome


def summary(run: Path, *, as_json: bool) -> int:
    """What a run holds: prompts, failures, cost by role. Gives the number of prompts without an answer."""
    usage: dict[str, Usage] = {}
    num_prompts = num_candidates = num_steps = num_failed_candidates = 0
    errors: list[tuple[str, str]] = []
    for outcome in read_outcomes(run):
        num_prompts += 1
        answers, steps = num_answers_and_steps(outcome.candidates)
        num_candidates += answers
        num_steps += steps
        num_failed_candidates += sum(not c.is_usable for c in outcome.candidates)
        if outcome.selection is None:
            errors.append((outcome.prompt.id, why_no_answer(outcome)))
        for role, spent in outcome.usage.items():
            usage[role] = usage.get(role, Usage()) + spent
    if as_json:
        _json(
            {
                "run": str(run),
                "prompts": num_prompts,
                "failed": len(errors),
                "candidates": num_candidates,
                "steps": num_steps,
                "failed_candidates": num_failed_candidates,
                "usage": usage,
            }
        )
        return len(errors)
    lines = [f"{num_prompts} prompts, {counted(num_candidates, num_steps)}"]
    if num_failed_candidates:
        lines[0] += f", {num_failed_candidates} failed"
    lines += [
        f"{role}: {u.calls} calls, {u.prompt} prompt tokens ({u.cached} cached), {u.completion} drawn"
        for role, u in usage.items()
    ]
    err.print("\n".join(lines))
    for prompt_id, why in errors[:3]:
        err.print(Text(f"no answer for {prompt_id}: {why}", style="red"))
    if len(errors) > 3:  # noqa: PLR2004
        err.print(Text(f"… and {len(errors) - 3} more without an answer", style="red"))
    if errors:
        err.print("Run the same command again to try these once more.")
    print(run)
    return len(errors)


def win_rates(rates: WinRates, *, as_json: bool) -> None:
    """Win-rates, and what the judge did."""
    if as_json:
        _json(rates)
        return
    from nbest.arena.winrate_table import blocks  # noqa: PLC0415 (numpy)

    for block in blocks(rates):
        out.print(block)


def listing(kind: str | None, *, as_json: bool) -> None:
    """Every plug-in of a kind, or of all: name, parameters with defaults, purpose and source."""
    kinds = [kind] if kind else list(registry.TABLES)
    rows = {k: [describe(k, name) for name in registry.names(k)] for k in kinds}
    if as_json:
        _json(rows)
        return
    for k, plugins in rows.items():
        out.print(k, style="bold")
        for p in plugins:
            parameters = ", ".join(f"{n}={v}" for n, v in p["parameters"].items())
            line = Text.assemble("  ", (p["name"], "cyan"), (f"({parameters})", "dim"), f"  {p['summary']}")
            out.print(line)
        for other, name in registry.OTHER_NAMES.get(k, {}).items():
            out.print(f"  [cyan]{other}[/cyan]  The same as {name}.")
        if k == "strategies":
            out.print(f"  {SHORT_STRATEGIES.replace('`', '')}")


def describe(kind: str, name: str) -> dict[str, Any]:
    """Name, parameters with their defaults, one line of purpose, and the paper."""
    cls = registry.load(kind, name)
    doc = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
    paper = re.search(r"arXiv [0-9.]+\d", cls.__doc__ or "")
    parameters = {f.name: _shown_default(f) for f in dataclasses.fields(cls) if f.init and f.repr}
    return {"name": name, "parameters": parameters, "summary": doc, "paper": paper[0] if paper else None}


def _shown_default(f: dataclasses.Field[Any]) -> str:
    if f.default_factory is not dataclasses.MISSING:
        return registry.spec_of(f.default_factory())
    return "…" if f.default is dataclasses.MISSING else str(f.default)


def _pool_table(outcome: Outcome) -> Table:
    selection = outcome.selection
    table = Table(show_lines=True)
    for column in ("", "candidate", "score", "weight"):
        table.add_column(column, overflow="fold")
    for c in outcome.candidates:
        score = selection.scores.get(c.id) if selection else None
        weight = selection.weights.get(c.id, 0.0) if selection else 0.0
        won = selection is not None and selection.winner.id == c.id
        name = f"{c.id} step" if c.finish == "step" else str(c.id)
        table.add_row(
            Text("✔" if won else name, style="green" if won else ""),
            Text(c.error or c.text, style="red" if c.error else "bold" if won else ""),
            "" if score is None else f"{score:.3f}",
            f"{weight:.2f}",
        )
    return table
