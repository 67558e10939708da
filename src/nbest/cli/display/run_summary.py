"""What a finished run holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from nbest.cli.display.console import err, print_json
from nbest.cli.display.counts import (
    count_truncated,
    num_answers_and_steps,
    pool_in_words,
    truncation_warning,
    why_no_answer,
)
from nbest.cli.flags import with_flags
from nbest.records import read_outcomes
from nbest.types import Outcome, Usage

_MAX_ERRORS_SHOWN: Final = 3


@dataclass
class RunSummary:
    """Counts over the outcomes of a run."""

    num_prompts: int = 0
    num_answers: int = 0
    num_steps: int = 0
    num_failed_candidates: int = 0
    num_truncated: int = 0
    """Answers with finish `length`."""
    errors: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Prompt id and reason of each prompt without an answer."""
    usage: dict[str, Usage] = field(default_factory=dict[str, Usage])
    """By role."""

    def add(self, outcome: Outcome) -> None:
        num_answers, num_steps = num_answers_and_steps(outcome.candidates)
        self.num_prompts += 1
        self.num_answers += num_answers
        self.num_steps += num_steps
        self.num_failed_candidates += sum(not c.is_usable for c in outcome.candidates)
        self.num_truncated += count_truncated(outcome.candidates)
        if outcome.selection is None:
            self.errors.append((outcome.prompt.id, why_no_answer(outcome)))
        for role, spent in outcome.usage.items():
            self.usage[role] = self.usage.get(role, Usage()) + spent


def show_run(run: Path, *, as_json: bool) -> int:
    """Prints the counts of a run: its path on standard output, the rest on standard error.

    As JSON one object on standard output, and the warning of answers that were cut off on standard error.
    Gives the number of prompts without an answer.
    """
    summary = RunSummary()
    for outcome in read_outcomes(run):
        summary.add(outcome)

    if as_json:
        print_json(_as_json(run, summary))
    else:
        err.print("\n".join(_lines(summary)))
        _show_errors(summary.errors)
    warning = truncation_warning(summary.num_truncated, summary.num_answers)
    if warning:
        err.print(Text(f"warning: {warning}", style="yellow"))
    if not as_json:
        print(run)
    return len(summary.errors)


def _lines(summary: RunSummary) -> list[str]:
    first = f"{summary.num_prompts} prompts, {pool_in_words(summary.num_answers, summary.num_steps)}"
    if summary.num_failed_candidates:
        first += f", {summary.num_failed_candidates} failed"
    costs = [
        f"{role}: {u.calls} calls, {u.prompt} input tokens ({u.cached} cached), {u.completion} output tokens"
        for role, u in summary.usage.items()
    ]
    return [first, *costs]


def _show_errors(errors: list[tuple[str, str]]) -> None:
    for prompt_id, why in errors[:_MAX_ERRORS_SHOWN]:
        err.print(Text(f"no answer for {prompt_id}: {with_flags(why)}", style="red"))
    num_more = len(errors) - _MAX_ERRORS_SHOWN
    if num_more > 0:
        err.print(Text(f"… and {num_more} more without an answer", style="red"))
    if errors:
        err.print("Run the same command again to try these once more.")


def _as_json(run: Path, summary: RunSummary) -> dict[str, Any]:
    return {
        "run": str(run),
        "prompts": summary.num_prompts,
        "failed": len(summary.errors),
        "candidates": summary.num_answers,
        "steps": summary.num_steps,
        "failed_candidates": summary.num_failed_candidates,
        "truncated": summary.num_truncated,
        "usage": summary.usage,
    }
