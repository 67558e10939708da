"""Competition mathematics, English."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nbest.datasets import Item
from nbest.protocols import PluginSpec, ServerModel, ServerPath
from nbest.tasks.instructions import filled, prompt_of, template_or
from nbest.tasks.rows import Hub, field, rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Math500:
    """500 problems of the MATH test set (Hendrycks et al. 2021; Lightman et al. 2023, arXiv 2305.20050).

    Rows `problem`, `answer` (LaTeX), `subject`, `level`, `unique_id` of a file, or of
    `HuggingFaceH4/MATH-500` on the hub. Answers that are not spelled alike are compared with the extra `math`.
    """

    is_open_to_clients: ClassVar[bool] = False

    path: ServerPath | None = None
    limit: int | None = None
    template: ServerPath | None = None
    """File with {{question}}, in place of ours."""
    revision: ServerModel = "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"
    """Commit on the hub."""
    score: PluginSpec = "oracle"

    def items(self) -> list[Item]:
        hub = Hub("HuggingFaceH4/MATH-500", None, "test", self.revision)
        rows = rows_of(self.path, ["test", "math500"], hub)
        text = template_or(self.template, "boxed", "en")
        items: list[Item] = []
        for number, row in enumerate(rows):
            if self.limit is not None and number >= self.limit:
                break
            where = f"math500, row {number + 1}"
            question = filled(text, {"question": str(field(row, "problem", where))})
            prompt = prompt_of(
                f"math500/{row.get('unique_id', number)}", question, language="en", task="math500"
            )
            kept = {key: row[key] for key in ("subject", "level") if key in row}
            items.append(Item(prompt, {"answer": str(field(row, "answer", where)), **kept}))
        return items
