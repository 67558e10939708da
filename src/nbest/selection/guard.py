"""Keeps answers that cannot be right away from any selector."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar, Final, NamedTuple

import regex

from nbest.context import Context
from nbest.offload import spaced
from nbest.protocols import LanguageCode, Selector
from nbest.selection.pool import usable
from nbest.text.language import is_in_language
from nbest.text.language_codes import check_language, primary_subtag
from nbest.text.normalise import folded
from nbest.text.reasoning import answer_text
from nbest.types import Candidate, Prompt, Selection

MAX_REFUSAL_CHARS: Final = 600
"""A longer answer that begins with an apology does answer."""
_A_FEW_WORDS: Final = r".{0,60}?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Any selector, over the candidates that are not empty, truncated, refused or in the wrong language.

    What is set aside, and why, is noted. Where nothing would be left, the whole pool competes, and that is
    noted too. A language that cannot be told (a formula, a few words) never sets a candidate aside.
    """

    is_open_to_clients: ClassVar[bool] = True

    selector: Selector
    language: LanguageCode | None = "prompt"
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
        fault_by_id = {c.id: self._fault(c, prompt) async for c in spaced(pool)}
        faults = {i: fault for i, fault in fault_by_id.items() if fault is not None}
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
        text = answer_text(candidate.text)
        if not any(c.isalnum() for c in text):
            return "empty"
        if self.truncated and candidate.finish == "length":
            return "truncated"
        if candidate.tool_calls:  # they are in no language
            return None
        if self.refused and is_refusal(text):
            return "refused"
        asked = self.language
        if asked == "prompt":
            asked = candidate.language or prompt.language
        if asked and is_in_language(text, asked) is False:
            return f"not in {asked}"
        return None


def _is_evidence(candidate: Candidate, prompt: Prompt) -> bool:
    """Whether it was asked for in another language, and so cannot be the answer (X-MBR)."""
    asked = primary_subtag(candidate.language)
    return bool(asked and prompt.language) and asked != primary_subtag(prompt.language)


def is_refusal(text: str) -> bool:
    """Whether `text` is short and begins as refusals do in any language of the table, and does not answer after all.

    It answers where a number stands behind a contrast ("…, aber es sind 42"). A heuristic: it knows phrases,
    not intentions. Refusals in other words pass.
    """
    if len(text) > MAX_REFUSAL_CHARS:
        return False
    spelled = _spelled(text)
    opening = _phrases().openings.match(spelled)
    return opening is not None and not _phrases().answers.search(spelled, opening.end())


class _Phrases(NamedTuple):
    openings: regex.Pattern[str]
    answers: regex.Pattern[str]
    """A contrast, and a number behind it."""


@cache
def _phrases() -> _Phrases:
    text = files("nbest.selection").joinpath("refusals.toml").read_text(encoding="utf-8")
    table: Mapping[str, Mapping[str, list[str]]] = tomllib.loads(text)
    openings = "|".join(map(_pattern, _all_of(table["refusals"])))
    contrasts = "|".join(map(_as_words, _all_of(table["contrasts"])))
    return _Phrases(regex.compile(openings), regex.compile(rf"(?:{contrasts}).*?\p{{N}}"))


def _all_of(phrases_by_language: Mapping[str, list[str]]) -> list[str]:
    """All phrases of a table, longest first."""
    phrases = {phrase for words in phrases_by_language.values() for phrase in words}
    return sorted(phrases, key=lambda phrase: (-len(phrase), phrase))


def _pattern(phrase: str) -> str:
    """The expression of a phrase in which … stands for a few words."""
    parts = [regex.escape(_spelled(part)) for part in phrase.split("…")]
    return _A_FEW_WORDS.join(parts)


def _as_words(phrase: str) -> str:
    """The expression of whole words, in scripts that put spaces between them."""
    spelled = regex.escape(_spelled(phrase))
    if regex.search(r"[\p{Han}\p{Hiragana}\p{Hangul}\p{Thai}]", phrase):
        return spelled
    return rf"(?<![^ ]){spelled}(?![^ ])"


def _spelled(text: str) -> str:
    """Words alone, case-folded."""
    undotted = folded(text).replace("i\u0307", "i").replace("ı", "i")  # case pairs of Turkish
    return " ".join(regex.findall(r"[\p{L}\p{M}\p{N}]+", undotted))
