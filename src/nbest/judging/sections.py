"""Foreign text inside a prompt, between marks that it cannot imitate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from nbest.text.calls import canonical
from nbest.types import Json, Message, Prompt, ToolCall

MARK_TOKENS: Final = 50
"""At most, for the two marks around a candidate."""


def unused_tag(rng: Random, texts: Iterable[str]) -> str:
    """A code that occurs in none of `texts`: no text can close its own section or open another."""
    all_text = "\n".join(texts).lower()
    while True:
        tag = f"{rng.getrandbits(32):08x}"
        if tag not in all_text:
            return tag


def texts_of(prompt: Prompt) -> list[str]:
    """The text of each turn of a prompt, tool calls included."""
    return [_said(m) for m in prompt.messages]


def images_of(prompt: Prompt) -> list[Json]:
    """The parts of its turns that are no text, in order: a judge of an answer to them must see them."""
    return [part for m in prompt.messages for part in m.parts if part.get("type") != "text"]


def shown_prompt(prompt: Prompt, tag: str) -> str:
    """The task as one section; a conversation as one section per turn."""
    if len(prompt.messages) == 1:
        return _section("task", "", _said(prompt.messages[0]), tag)
    return "\n".join(_section("turn", f' role="{m.role}"', _said(m), tag) for m in prompt.messages)


def shown_candidates(text_by_label: Mapping[str, str], tag: str) -> str:
    """One labelled section per candidate, in the order given."""
    return "\n\n".join(_section("candidate", f' n="{k}"', t, tag) for k, t in text_by_label.items())


def most_tokens(text: str) -> int:
    """At least as many tokens as a tokenizer of today makes of `text`, in any script.

    Byte-level vocabularies never make more tokens than bytes, which rare scripts come close to; ASCII
    text averages three to four characters a token, and code and numbers stay under two.
    """
    ascii_chars = len(text.encode("ascii", "ignore"))
    return ascii_chars // 2 + len(text.encode("utf-8", "surrogatepass")) - ascii_chars + 1


def _said(message: Message) -> str:
    """A turn's text, and the calls of tools that it makes."""
    calls: list[Json] = message.fields.get("tool_calls") or []
    lines = [message.content] if message.content else []
    for call in calls:
        match call:
            case {"function": {"name": str(name), "arguments": str(arguments)}}:
                lines.append(canonical(ToolCall(id="", name=name, arguments=arguments)))
            case _:
                pass
    return "\n".join(lines)


def _section(kind: str, attributes: str, text: str, tag: str) -> str:
    return f"<{kind}-{tag}{attributes}>\n{text}\n</{kind}-{tag}>"
