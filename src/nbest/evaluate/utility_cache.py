"""Utilities of one pool computed once, for all the parts of it that selectors are asked about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

import numpy as np

from nbest import registry
from nbest.context import Context
from nbest.evaluate.confidence import Floats
from nbest.protocols import Utility
from nbest.selection.mbr import Mbr, NeedsPrompt

_MOST_TEXTS = 4096
"""Texts of a pool whose utilities are all kept at once: 128 MB of them."""


class CachedUtility:
    """A utility that compares all texts of one pool once."""

    def __init__(self, utility: Utility, texts: Iterable[str]) -> None:
        self._utility = utility
        self._place = {text: i for i, text in enumerate(sorted(set(texts)))}
        self._matrix: Floats | None = None

    async def __call__(self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context) -> Floats:
        if not self._place.keys() >= {*hypotheses, *references}:
            return await self._utility(hypotheses, references, ctx)
        if self._matrix is None:
            texts = list(self._place)
            self._matrix = await self._utility(texts, texts, ctx)
        rows, columns = ([self._place[t] for t in texts] for texts in (hypotheses, references))
        return self._matrix[np.ix_(rows, columns)]


def with_cached_utilities(plugin: Any, texts: Sequence[str], made: dict[str, CachedUtility]) -> Any:
    """`plugin` with the utility of every exact MBR inside it, at whatever depth, cached for `texts`.

    `made` holds the cached utilities of this pool by spec, so that several selectors share them.
    """
    if not is_dataclass(plugin) or isinstance(plugin, type):
        return plugin
    if isinstance(plugin, Mbr):
        needs_prompt = isinstance(plugin.utility, NeedsPrompt)
        if plugin.mode != "exact" or needs_prompt or len(texts) > _MOST_TEXTS:
            return plugin
        spec = registry.spec_of(plugin.utility)
        return replace(plugin, utility=made.setdefault(spec, CachedUtility(plugin.utility, texts)))

    inner = {f.name: getattr(plugin, f.name) for f in fields(plugin) if f.init}
    cached = {name: with_cached_utilities(value, texts, made) for name, value in inner.items()}
    changed = {name: value for name, value in cached.items() if value is not inner[name]}
    if changed:
        return cast("Any", replace(plugin, **changed))
    return plugin
