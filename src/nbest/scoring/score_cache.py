"""Scores that a scorer has computed for a prompt: a search scores growing solutions again and again."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from nbest.context import Context
from nbest.types import Prompt

_by_context: WeakKeyDictionary[Context, dict[Hashable, dict[Any, Any]]] = WeakKeyDictionary()


def score_cache(ctx: Context, scorer: Hashable, prompt: Prompt) -> dict[Any, Any]:
    """The cache of this scorer for this prompt, which the scorer fills; it lives as long as the context."""
    return _by_context.setdefault(ctx, {}).setdefault((scorer, msgspec.json.encode(prompt)), {})
