"""A conversation as one plain text."""

from __future__ import annotations

from nbest.types import Prompt


def raw_text(prompt: Prompt) -> str:
    """The contents of all messages with an empty line between them: a prompt without a chat template."""
    return "\n\n".join(m.content for m in prompt.messages)
