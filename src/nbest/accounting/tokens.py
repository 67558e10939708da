"""How many tokens a text is likely to have, where no server counts them."""

from __future__ import annotations

from nbest.types import Prompt

BYTES_PER_TOKEN = 4
"""UTF-8 bytes of an average token, over the languages and tokenizers in use."""


def estimated_tokens(text: str) -> int:
    """Tokens of `text` by its length in bytes, rounded up; 0 for an empty text."""
    num_bytes = len(text.encode(errors="replace"))
    return -(-num_bytes // BYTES_PER_TOKEN)


def prompt_tokens(prompt: Prompt) -> int:
    """Input tokens that a prompt is likely to be, by the length of its texts. Images and tools are not counted."""
    return sum(estimated_tokens(message.content) for message in prompt.messages)
