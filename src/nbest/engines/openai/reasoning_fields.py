"""Reasoning that servers keep apart from the answer."""

from __future__ import annotations

from typing import Protocol

from nbest.types import Json

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""What servers call it: DeepSeek and llama.cpp the first, vLLM, Groq and OpenRouter the second."""


class HasReasoning(Protocol):
    """A message, or a delta of one. Some servers send objects under these names: only texts count."""

    reasoning_content: Json
    reasoning: Json


def reasoning_field(message: HasReasoning) -> str | None:
    """The one of `REASONING_FIELDS` that holds a text; None where neither does."""
    if not message.reasoning_content and not message.reasoning:
        return None
    for name in REASONING_FIELDS:
        value = getattr(message, name)
        if isinstance(value, str) and value:
            return name
    return None


def reasoning_text(message: HasReasoning) -> str | None:
    """The reasoning before the answer, under either name."""
    name = reasoning_field(message)
    if name is None:
        return None
    return getattr(message, name)
