"""How often answers are in the language that they should be in: language confusion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import regex

from nbest.text.language import LANGUAGES, SCRIPTS_BY_LANGUAGE, Identifier, is_in_language
from nbest.text.language_codes import primary_subtag
from nbest.text.scripts import prose_of

_MIN_FOREIGN_LETTERS: Final = 4
_LATIN_LOWER_WORD = regex.compile(
    rf"(?<![\p{{L}}\p{{N}}_.\-/])[a-z]{{{_MIN_FOREIGN_LETTERS},}}(?![\p{{L}}\p{{N}}_/])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRates:
    """Language confusion of answers (Marchisio et al. 2024, arXiv 2406.20052), in shares of 1."""

    line: float | None
    """Share of answers without a line in another language."""
    word: float | None
    """Share of these without a foreign word; None for languages in Latin script."""
    num_judged: int
    """Answers with at least one line long enough to judge."""

    @property
    def both(self) -> float | None:
        """Harmonic mean of the two (the paper's LCPR); the line rate alone where there is no word rate."""
        if self.line is None or self.word is None:
            return self.line
        if self.line + self.word == 0:
            return 0.0
        return 2 * self.line * self.word / (self.line + self.word)


def pass_rates(
    texts: Iterable[str],
    language: str,
    *,
    languages: Iterable[str] = LANGUAGES,
    identifier: Identifier | None = None,
) -> PassRates:
    """Line-level and word-level pass rate of answers that should be in `language`."""
    codes = tuple(languages)
    verdicts = [(t, passes_lines(t, language, languages=codes, identifier=identifier)) for t in texts]
    lines = [verdict for _, verdict in verdicts if verdict is not None]
    words = [passes_words(text, language) for text, verdict in verdicts if verdict]
    judged_words = [verdict for verdict in words if verdict is not None]
    return PassRates(line=_share(lines), word=_share(judged_words), num_judged=len(lines))


def _share(verdicts: list[bool]) -> float | None:
    return sum(verdicts) / len(verdicts) if verdicts else None


def passes_lines(
    text: str,
    language: str,
    *,
    languages: Iterable[str] = LANGUAGES,
    identifier: Identifier | None = None,
) -> bool | None:
    """Whether no line of `text` is in another language; None where no line is long enough to judge."""
    codes = tuple(languages)
    verdicts = [
        is_in_language(line, language, languages=codes, identifier=identifier)
        for line in prose_of(text).splitlines()
    ]
    decided = [v for v in verdicts if v is not None]
    return all(decided) if decided else None


def passes_words(text: str, language: str) -> bool | None:
    """Whether `text` has no lower-case Latin word of four letters or more.

    None for a language in Latin script, or one not in `SCRIPTS_BY_LANGUAGE`. Stricter than the paper, which
    looks words up in an English dictionary: names in capitals pass, a lower-case brand does not.
    """
    written_in = SCRIPTS_BY_LANGUAGE.get(primary_subtag(language))
    if written_in is None or "Latin" in written_in:
        return None
    return not _LATIN_LOWER_WORD.search(prose_of(text))
