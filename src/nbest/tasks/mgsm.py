"""Multilingual Grade School Math."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from nbest.datasets import Item
from nbest.protocols import LanguageCode, PluginSpec, ServerModel, ServerPath
from nbest.tasks.instructions import filled, prompt_of, template_or
from nbest.tasks.rows import Hub, field, rows_of

LANGUAGES: Final = ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")
_COLUMNS: Final = ("question", "answer_number")
"""Of the published TSV files, which have no header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mgsm:
    """250 grade-school problems, the same ones in 11 languages (MGSM; Shi et al. 2022, arXiv 2210.03057).

    From `mgsm_<language>.tsv` files (question, answer) under `path`, or rows `question`, `answer_number` of
    `juletxara/mgsm` on the hub. Translations of a problem are a cluster. Raises `InputError` for files that are
    not there.
    """

    is_open_to_clients: ClassVar[bool] = False

    path: ServerPath | None = None
    languages: tuple[LanguageCode, ...] = LANGUAGES
    limit: int | None = None
    """Problems of each language."""
    template: ServerPath | None = None
    """File with {{question}}, in place of ours in each language."""
    revision: ServerModel = "b2f13d426afe3be8d69a7e739b36724db8b66bbc"
    """Commit on the hub."""
    score: PluginSpec = "oracle"

    def items(self) -> list[Item]:
        return [item for language in self.languages for item in self._items_in(language)]

    def _items_in(self, language: str) -> list[Item]:
        hub = Hub("juletxara/mgsm", language, "test", self.revision)
        rows = rows_of(self.path, [f"mgsm_{language}"], hub, tsv_columns=_COLUMNS)
        text = template_or(self.template, "math", language)
        items: list[Item] = []
        for number, row in enumerate(rows):
            if self.limit is not None and number >= self.limit:
                break
            where = f"mgsm, {language}, row {number + 1}"
            prompt = prompt_of(
                f"mgsm/{language}/{number}",
                filled(text, {"question": str(field(row, "question", where))}),
                language=language,
                task="mgsm",
            )
            answer = str(field(row, "answer_number", where))
            items.append(Item(prompt, {"answer": answer, "cluster": f"mgsm/{number}"}))
        return items
