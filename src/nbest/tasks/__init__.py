"""Tasks: prompts with what answers to them are measured by. One file and one line of the registry each."""

from __future__ import annotations

from pathlib import Path

from nbest import registry
from nbest.datasets import Item, read_prompts
from nbest.errors import InputError, SpecError


def items_of(prompts: str) -> list[Item]:
    """The prompts of a file (`-`: of standard input), or of a task's spec where no file has that name.

    Raises `InputError`, `SpecError`, `MissingExtraError`.
    """
    name = prompts.partition("(")[0].partition(":")[0].strip()
    is_in_code = registry.code_name(prompts.partition("(")[0]) is not None
    if prompts == "-" or Path(prompts).exists() or not (name.isidentifier() or is_in_code):
        return read_prompts(prompts)
    if not is_in_code:
        _check_name(prompts, name)
    items = [Item(*item) for item in registry.parse("tasks", prompts).items()]
    if not items:
        raise InputError(f"{prompts} holds no prompt")
    return items


def _check_name(prompts: str, name: str) -> None:
    try:
        registry.load("tasks", name)
    except SpecError as e:
        raise InputError(f"{prompts}: no such file, and {e}") from None
