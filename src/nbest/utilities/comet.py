"""COMET as a utility: how good a translation one text would be if another were the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nbest.context import Context
from nbest.protocols import FreeText, ServerPath
from nbest.scoring.comet_quality import CometAt
from nbest.types import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Comet(CometAt):
    """COMET of every pair (Rei et al. 2022; as MBR utility Fernandes et al. 2022, arXiv 2205.00978), about 0–1.

    The source is read from the prompt (`source_after`), by selectors that tell it (`mbr`, `xmbr`), else it
    is empty. Each distinct pair is scored once: N·M encodings, so `mbr(mode=pruned)` for large pools.
    """

    is_open_to_clients: ClassVar[bool] = False

    model: ServerPath = "Unbabel/wmt22-comet-da"
    source: FreeText = ""

    is_multilingual: ClassVar[bool] = True

    def for_prompt(self, prompt: Prompt) -> Comet:
        return replace(self, source=self.source_of(prompt))

    async def __call__(
        self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
    ) -> NDArray[np.float64]:
        pairs = list(dict.fromkeys((h, r) for h in hypotheses for r in references))
        if not pairs:
            return np.zeros((len(hypotheses), len(references)))
        rows = [{"src": self.source, "mt": h, "ref": r} for h, r in pairs]
        score_by_pair = dict(zip(pairs, await self.ask(rows, ctx), strict=True))
        return np.array([[score_by_pair[h, r] for r in references] for h in hypotheses], np.float64)
