"""A sampler's parameters by language and task, read from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from nbest.errors import InputError
from nbest.text.language_tags import closest_tag
from nbest.types import Prompt

_KEYS = frozenset({"language", "task"})


def parameters_for(prompt: Prompt, path: str) -> Mapping[str, Any]:
    """The parameters of the row of `path` that fits `prompt` best; none where no row fits.

    The language decides before the task does; a row for `pt` fits a prompt in `pt-BR` where no row for
    `pt-BR` fits. Of rows that name equally much, the first wins.
    Raises `InputError` for a file that is missing or malformed.
    """
    rows = [row for row in _rows(path) if row.get("task", prompt.task) == prompt.task]
    language = closest_tag(prompt.language, {row["language"]: None for row in rows if "language" in row})
    fitting = [row for row in rows if row.get("language", language) == language]
    if not fitting:
        return {}

    best = max(fitting, key=lambda row: ("language" in row) * 2 + ("task" in row))
    return {name: value for name, value in best.items() if name not in _KEYS}


@cache
def _rows(path: str) -> list[dict[str, Any]]:
    try:
        rows = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("params", [])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (the sampler's table)") from None
    except tomllib.TOMLDecodeError as e:
        raise InputError(f"{path}: {e}") from None
    try:
        table = msgspec.convert(rows, list[dict[str, Any]])
    except msgspec.ValidationError:
        raise InputError(f"{path}: write each row as  [[params]]") from None
    for row in table:
        for key in _KEYS & row.keys():
            if not isinstance(row[key], str):
                raise InputError(f"{path}: {key} must be text, got {row[key]!r}")
    return table
