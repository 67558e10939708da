"""Translation out of English."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from nbest.datasets import Item
from nbest.errors import InputError
from nbest.protocols import LanguageCode, PluginSpec, ServerModel, ServerPath
from nbest.tasks.instructions import TEMPLATES, filled, prompt_of, template_or
from nbest.tasks.rows import Hub, field, rows_of


@cache
def locales() -> Mapping[str, str]:
    """Locales of the data, with the names that the instruction gives them."""
    return tomllib.loads((TEMPLATES / "translate" / "locales.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wmt24pp:
    """English to 55 languages and dialects, with post-edited references (WMT24++; Deutsch et al. 2025, arXiv 2502.12404).

    Rows `source`, `target`, `lp`, `domain`, `document_id`, `segment_id`, `is_bad_source` of
    `en-<locale>.jsonl` files under `path`, or of `google/wmt24pp` on the hub. Segments with a bad source are
    left out, as the authors advise. A segment's translations are a cluster.
    """

    is_open_to_clients: ClassVar[bool] = False

    path: ServerPath | None = None
    locales: tuple[LanguageCode, ...] = ("de_DE", "ja_JP", "zh_CN")
    limit: int | None = None
    """Segments of each locale."""
    template: ServerPath | None = None
    """File with {{question}}, and {{source}}, {{target}} for the languages' names, in place of ours."""
    revision: ServerModel = "fd7405c06494bc66a57b25f55d217a72f96e60dc"
    """Commit on the hub."""
    score: PluginSpec = "reference_oracle(utility=chrf)"

    def items(self) -> list[Item]:
        return [item for locale in self.locales for item in self._items_in(locale)]

    def _items_in(self, locale: str) -> list[Item]:
        if locale not in locales():
            raise InputError(f"wmt24pp has no locale {locale!r}: there are {', '.join(sorted(locales()))}")
        name = f"en-{locale}"
        hub = Hub("google/wmt24pp", name, "train", self.revision)
        rows = rows_of(self.path, [name], hub)
        text = template_or(self.template, "translate", "en")
        items: list[Item] = []
        for number, row in enumerate(rows):
            if self.limit is not None and len(items) >= self.limit:
                break
            if row.get("is_bad_source"):
                continue
            where = f"{name}, row {number + 1}"
            source = str(field(row, "source", where))
            asked = filled(text, {"question": source, "source": "English", "target": locales()[locale]})
            segment = f"{row.get('document_id', '')}/{row.get('segment_id', number)}"
            prompt = prompt_of(
                f"wmt24pp/{locale}/{segment}", asked, language=locale.partition("_")[0], task="wmt24pp"
            )
            gold = {
                "reference": str(field(row, "target", where)),
                "source": source,
                "domain": row.get("domain"),
                "cluster": segment,
            }
            items.append(Item(prompt, gold))
        return items
