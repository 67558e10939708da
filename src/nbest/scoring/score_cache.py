"""What a scorer already knows about a prompt: search asks again and again about growing solutions."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from nbest.context import Context
from nbest.types import Prompt

_by_context: WeakKeyDictionary[Context, dict[Hashable, dict[Any, Any]]] = WeakKeyDictionary()


def score_cache(ctx: Context, scorer: Hashable, prompt: Prompt) -> dict[Any, Any]:
    """What this scorer wrote down for this prompt in this context; it is forgotten with the context."""
    return _by_context.setdefault(ctx, {}).setdefault((scorer, msgspec.json.encode(prompt)), {})
