"""Anybody's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from nbest.datasets import Item, item_of
from nbest.errors import InputError
from nbest.protocols import FreeText, LanguageCode, PluginSpec, ServerPath
from nbest.tasks.instructions import filled, own_template
from nbest.tasks.rows import read_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Jsonl:
    """Rows of your own, from JSONL, JSON, TSV or Parquet: `prompt` or `messages`, and `answer` or `reference`.

    `columns` names yours, as in {prompt: question, answer: label}; columns that nothing is made of are kept
    with the answer. Without `id` the row's number is the id. Raises `InputError` for the first row that cannot be
    used.
    """

    is_open_to_clients: ClassVar[bool] = False

    path: ServerPath
    columns: Mapping[str, FreeText] = field(default_factory=dict[str, str])
    """Our name → the column's."""
    language: LanguageCode | None = None
    """Of all rows that have none."""
    task: FreeText | None = None
    """Name of the task in records; the file's name without it."""
    template: ServerPath | None = None
    """File with {{question}} that each `prompt` is put into."""
    limit: int | None = None
    score: PluginSpec | None = None
    """Scorer or utility that measures answers; by `answer`, else by `reference` without it."""

    def items(self) -> list[Item]:
        text = None
        if self.template:
            text = own_template(self.template)
        theirs = {column: name for name, column in self.columns.items()}
        items: dict[str, Item] = {}
        for number, raw in enumerate(read_rows(Path(self.path)), 1):
            if self.limit is not None and number > self.limit:
                break
            where = f"{self.path}, row {number}"
            missing = next((c for c in theirs if c not in raw), None)
            if missing:
                raise InputError(f"{where}: no column {missing!r}; columns are {', '.join(map(str, raw))}")
            row = {theirs.get(column, column): value for column, value in raw.items() if value is not None}
            if text is not None and isinstance(row.get("prompt"), str):
                row["prompt"] = filled(text, {"question": row["prompt"]})
            row.setdefault("language", self.language)
            row.setdefault("task", self.task or Path(self.path).stem)
            item = item_of(row, where, default_id=str(number))
            if item.prompt.id in items:
                raise InputError(
                    f"{where}: id {item.prompt.id!r} stands in an earlier row; ids must be unique"
                )
            items[item.prompt.id] = item
        return list(items.values())
