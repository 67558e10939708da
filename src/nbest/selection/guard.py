"""Keeps answers that cannot be right away from any selector."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar

import regex

from nbest.context import Context
from nbest.protocols import Selector
from nbest.selection.pool import usable
from nbest.text.language import check_language, is_in_language, primary_subtag
from nbest.types import Candidate, Prompt, Selection

MAX_REFUSAL_CHARS = 600
"""A longer answer that begins with an apology does answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Any selector, over the candidates that are not empty, truncated, refused or in the wrong language.

    What is set aside, and why, is noted. Where nothing would be left, the whole pool competes, and that is
    noted too. A language that cannot be told (a formula, a few words) never sets a candidate aside.
    """

    is_open_to_clients: ClassVar[bool] = True

    selector: Selector
    language: str | None = "prompt"
    """"prompt": the language each candidate was asked for in, else the prompt's; a code; None: any."""
    truncated: bool = True
    """Set aside what `max_tokens` cut."""
    refused: bool = True
    """Set aside short answers that begin as refusals do (`refusals.toml`)."""

    def __post_init__(self) -> None:
        if self.language is not None and self.language != "prompt":
            check_language(self.language)

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        pool = usable(candidates)
        faults = {c.id: fault for c in pool if (fault := self._fault(c, prompt))}
        kept = [c for c in pool if c.id not in faults]
        if all(_is_evidence(c, prompt) for c in kept):  # of what is left, none may win
            kept = []
        if faults:
            listed = ", ".join(f"{i} {fault}" for i, fault in faults.items())
            end = "" if kept else "; nothing was left, so all of them compete"
            ctx.note(f"guard: {len(faults)} of {len(pool)} candidates set aside ({listed}){end}")
        return await self.selector(prompt, kept or pool, ctx)

    def _fault(self, candidate: Candidate, prompt: Prompt) -> str | None:
        """Why the candidate is set aside, in one word or two; None where it is not."""
        if not any(c.isalnum() for c in candidate.text):
            return "empty"
        if self.truncated and candidate.finish == "length":
            return "truncated"
        if candidate.tool_calls:  # they are in no language
            return None
        if self.refused and is_refusal(candidate.text):
            return "refused"
        asked = candidate.language or prompt.language if self.language == "prompt" else self.language
        return f"not in {asked}" if asked and is_in_language(candidate.text, asked) is False else None


def _is_evidence(candidate: Candidate, prompt: Prompt) -> bool:
    """Whether it was asked for in another language, and so cannot be the answer (X-MBR)."""
    asked = primary_subtag(candidate.language)
    return bool(asked and prompt.language) and asked != primary_subtag(prompt.language)


def is_refusal(text: str) -> bool:
    """Whether `text` is short and begins as refusals do in any language of the table.

    A heuristic: it knows phrases, not intentions. Refusals in other words pass.
    """
    return len(text) <= MAX_REFUSAL_CHARS and bool(_openings().match(_spelling(text)))


@cache
def _openings() -> regex.Pattern[str]:
    table: Mapping[str, list[str]] = tomllib.loads(
        files("nbest.selection").joinpath("refusals.toml").read_text(encoding="utf-8")
    )
    phrases = sorted({_spelling(p) for words in table.values() for p in words}, key=lambda p: (-len(p), p))
    return regex.compile("|".join(map(regex.escape, phrases)))


def _spelling(text: str) -> str:
    """Words alone, case-folded."""
    from nbest.text.normalise import folded  # noqa: PLC0415

    undotted = folded(text).replace("i\u0307", "i").replace("ı", "i")  # case pairs of Turkish
    return " ".join(regex.findall(r"[\p{L}\p{M}\p{N}]+", undotted))
