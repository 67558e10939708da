"""Tasks: prompts with what answers to them are measured by. One file and one line of the registry each."""

from __future__ import annotations

from pathlib import Path

from nbest import registry
from nbest.errors import InputError
from nbest.pools import Item, read_prompts


def items_of(prompts: str) -> list[Item]:
    """The prompts of a file (`-`: of standard input), or of a task's spec where no file has that name.

    Raises `InputError`, `SpecError`, `MissingExtraError`.
    """
    name = prompts.partition("(")[0].partition(":")[0].strip()
    if prompts == "-" or name not in registry.TABLES["tasks"] or Path(prompts).exists():
        return read_prompts(prompts)
    items = [Item(*item) for item in registry.parse("tasks", prompts).items()]
    if not items:
        raise InputError(f"{prompts} holds no prompt")
    return items
