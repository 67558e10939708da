"""Grade School Math, English."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nbest.datasets import Item
from nbest.errors import InputError
from nbest.protocols import PluginSpec, ServerModel, ServerPath
from nbest.tasks.instructions import filled, prompt_of, template_or
from nbest.tasks.rows import Hub, field, rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Gsm8k:
    """1 319 grade-school problems in English (GSM8K; Cobbe et al. 2021, arXiv 2110.14168).

    Rows `question`, `answer` (worked, ending in `#### 18`) of a file, or of `openai/gsm8k`, main, on the hub.
    """

    is_open_to_clients: ClassVar[bool] = False

    path: ServerPath | None = None
    split: ServerModel = "test"
    limit: int | None = None
    template: ServerPath | None = None
    """File with {{question}}, in place of ours."""
    revision: ServerModel = "740312add88f781978c0658806c59bc2815b9866"
    """Commit on the hub."""
    score: PluginSpec = "oracle"

    def items(self) -> list[Item]:
        hub = Hub("openai/gsm8k", "main", self.split, self.revision)
        rows = rows_of(self.path, [self.split, "gsm8k"], hub)
        text = template_or(self.template, "math", "en")
        items: list[Item] = []
        for number, row in enumerate(rows):
            if self.limit is not None and number >= self.limit:
                break
            where = f"gsm8k, row {number + 1}"
            worked, hashes, answer = str(field(row, "answer", where)).rpartition("####")
            if not hashes:
                raise InputError(f"{where}: no  ####  before the answer")
            question = filled(text, {"question": str(field(row, "question", where))})
            prompt = prompt_of(f"gsm8k/{self.split}/{number}", question, language="en", task="gsm8k")
            items.append(Item(prompt, {"answer": answer.strip(), "worked": worked.strip()}))
        return items
