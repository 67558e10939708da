"""A sampler's parameters by language and task, read from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from nbest.errors import InputError
from nbest.types import Prompt

_KEYS = frozenset({"language", "task"})


def parameters_for(prompt: Prompt, path: str) -> Mapping[str, Any]:
    """The parameters of the row of `path` that fits `prompt` best; none where no row fits.

    The language decides before the task does. Of rows that name equally much, the first wins.
    Raises `InputError` for a file that is missing or malformed.
    """
    rows = [row for row in _rows(path) if _fits(row, prompt)]
    if not rows:
        return {}

    best = max(rows, key=lambda row: ("language" in row) * 2 + ("task" in row))
    return {name: value for name, value in best.items() if name not in _KEYS}


def _fits(row: Mapping[str, Any], prompt: Prompt) -> bool:
    return (
        row.get("language", prompt.language) == prompt.language
        and row.get("task", prompt.task) == prompt.task
    )


@cache
def _rows(path: str) -> list[dict[str, Any]]:
    try:
        rows = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("params", [])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (the sampler's table)") from None
    except tomllib.TOMLDecodeError as e:
        raise InputError(f"{path}: {e}") from None
    try:
        return msgspec.convert(rows, list[dict[str, Any]])
    except msgspec.ValidationError:
        raise InputError(f"{path}: write each row as  [[params]]") from None
