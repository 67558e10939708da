"""The phrases that revisions put into a conversation, in the prompt's language."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from nbest.context import Context
from nbest.text.language_codes import primary_subtag
from nbest.types import Prompt


class Words(msgspec.Struct, frozen=True):
    try_again: str
    """The user's turn after an attempt."""
    wait: str
    """Appended to a text that has ended, so that the model continues it."""
    final: str
    """Appended to a truncated text, so that the model gives its answer."""


def words_for(prompt: Prompt, ctx: Context) -> Words:
    """Of the prompt's language; English, with a note, for one that the table lacks."""
    wanted = primary_subtag(prompt.language) or "en"
    if wanted not in table():
        ctx.note(f"no words for revisions in {wanted!r}: the English ones were used")
    return table().get(wanted, table()["en"])


@cache
def table() -> Mapping[str, Words]:
    """By language."""
    text = files("nbest.strategies").joinpath("phrases.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Words])
