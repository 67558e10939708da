"""Open questions, to be judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from nbest.datasets import Item
from nbest.protocols import LanguageCode, PluginSpec, ServerModel, ServerPath
from nbest.tasks.instructions import prompt_of
from nbest.tasks.rows import Hub, field, rows_of

LANGUAGES: Final = (
    *("ar", "cs", "de", "el", "en", "es", "fa", "fr", "he", "hi", "id", "it"),
    *("ja", "ko", "nl", "pl", "pt", "ro", "ru", "tr", "uk", "vi", "zh"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MArenahardV2:
    """498 hard user prompts in 23 languages, for a pairwise judge (m-ArenaHard-v2.0; arXiv 2506.20544).

    Rows `question_id`, `category`, `subcategory`, `prompt` of `<language>.jsonl` files under `path`, or of
    `CohereLabs/m-ArenaHard-v2.0` on the hub. Translations of a prompt are a cluster. There is nothing to
    score an answer by: `nbest judge` compares runs.
    """

    is_open_to_clients: ClassVar[bool] = False

    path: ServerPath | None = None
    languages: tuple[LanguageCode, ...] = LANGUAGES
    limit: int | None = None
    """Prompts of each language."""
    revision: ServerModel = "24c65eff42cec85e30dd5db99d1a702c7ebaa8ab"
    """Commit on the hub."""
    score: PluginSpec | None = None

    def items(self) -> list[Item]:
        return [item for language in self.languages for item in self._items_in(language)]

    def _items_in(self, language: str) -> list[Item]:
        hub = Hub("CohereLabs/m-ArenaHard-v2.0", language, "test", self.revision)
        rows = rows_of(self.path, [language], hub)
        items: list[Item] = []
        for number, row in enumerate(rows):
            if self.limit is not None and number >= self.limit:
                break
            where = f"m_arenahard_v2, {language}, row {number + 1}"
            id_ = str(field(row, "question_id", where))
            prompt = prompt_of(
                f"m_arenahard_v2/{language}/{id_}",
                str(field(row, "prompt", where)),
                language=language,
                task="m_arenahard_v2",
            )
            kept = {key: row[key] for key in ("category", "subcategory") if row.get(key) is not None}
            items.append(Item(prompt, {**kept, "cluster": id_}))
        return items
