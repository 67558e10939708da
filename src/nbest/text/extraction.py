"""Where in a text its final answer stands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import regex

from nbest.text.answer import Answer
from nbest.text.answer_words import Convention, convention
from nbest.text.normalise import bare, normalised, same_length_casefold
from nbest.text.readers import clean_reading, last_number, read_normalised
from nbest.text.reasoning import answer_text
from nbest.types import replace

_MAX_TRIES: Final = 8
"""How many `\\boxed` or markers are tried from the end: a bound for hostile texts."""
_MAX_LINES: Final = 40
_MAX_SHORT_CHARS: Final = 100
"""A text or marked line up to this length may be an answer in words."""

_HASHES = regex.compile(r"^[ \t]*####[ \t]*(\S[^\n]*)$", regex.MULTILINE)
_BOLD = regex.compile(r"\*\*([^*\n]{1,100})\*\*")


@lru_cache(maxsize=1 << 10)
def extract(text: str, *, language: str | None = None) -> Answer | None:
    r"""The final answer of a text, or None where it has none.

    In this order: the last `\boxed{}`; the last `#### …` (GSM8K); the last "answer:" in `language` or
    English, or in any language where it is None; a whole text, or a last line, that is an answer by
    itself; the last number. `language` also settles what `1.234` means. Reads at most the last 20 000
    characters, in linear time; never raises. Remembers the latest texts, since pools repeat themselves.
    """
    norm, conv = normalised(answer_text(text)), convention(language)
    return _marked(norm, conv) or _unmarked(norm, conv)


def extract_marked(text: str, *, language: str | None = None) -> Answer | None:
    r"""The final answer that a text itself says is one; None without `\boxed`, `####` or a marker."""
    return _marked(normalised(answer_text(text)), convention(language))


def _marked(norm: str, conv: Convention) -> Answer | None:
    for span in _boxed(norm):
        if answer := read_normalised(span, conv):
            return answer
    hashes: list[str] = _HASHES.findall(norm) if "####" in norm else []
    if hashes and (answer := read_normalised(hashes[-1], conv)):
        return answer
    for start in _markers(norm, conv):
        if answer := _after_marker(norm, start, conv):
            return answer
    return None


def _boxed(norm: str) -> Iterator[str]:
    r"""Contents of `\boxed{…}` with balanced braces, last first."""
    end = len(norm)
    for _ in range(_MAX_TRIES):
        end = max(norm.rfind("\\boxed", 0, end), norm.rfind("\\fbox", 0, end))
        if end < 0:
            break
        start = norm.find("{", end, end + 10)
        depth = 0
        for i in range(start, min(len(norm), start + 2000) if start >= 0 else start):
            depth += (norm[i] == "{") - (norm[i] == "}")
            if depth == 0:
                yield norm[start + 1 : i]
                break


def _markers(norm: str, conv: Convention) -> list[int]:
    """Where the answers behind markers begin, last first."""
    lower = same_length_casefold(norm)
    starts: set[int] = set()
    for word in conv.markers:
        if word not in lower:
            continue
        at = len(lower)
        for _ in range(_MAX_TRIES):
            at = lower.rfind(word, 0, at)
            if at < 0:
                break
            is_part = word[0].isascii() and at > 0 and lower[at - 1].isalpha()
            if not is_part and (joint := conv.joint.match(norm, at + len(word))):
                starts.add(joint.end())
                break
    return sorted(starts, reverse=True)[:_MAX_TRIES]


def _after_marker(norm: str, start: int, conv: Convention) -> Answer | None:
    """A line that is an answer; else, where no number follows below, the last number of the line."""
    line, _, below = norm[start:].partition("\n")
    if not any(c.isalnum() for c in line):
        line, _, below = below.lstrip().partition("\n")
    clean = bare(line)
    if answer := clean_reading(clean, conv) or _first_sentence(clean, conv):
        return answer
    if any(c.isdigit() for c in below):
        return None
    if answer := last_number(line, conv):
        # The whole line stays at hand: "World War 2" is no mere 2 to a gold answer in words.
        return replace(answer, text=clean) if len(clean) <= _MAX_SHORT_CHARS else answer
    return read_normalised(line, conv) if len(clean) <= _MAX_SHORT_CHARS else None


_TRAILING_ASIDE = regex.compile(r"(?<=[0-9][^()\n]{0,40})[(（][^()（）\n]{1,80}[)）][\s.。]*$")
_SENTENCE_END = regex.compile(r"[.!?。！？।؟](?=\s|$|\p{Lo})|\s\(|[,，،](?=\s)")


def _first_sentence(clean: str, conv: Convention) -> Answer | None:
    """`42. Because …`, `18 dollars (9 × 2)`: an answer that goes before its reasons."""
    end = _SENTENCE_END.search(clean, 0, _MAX_SHORT_CHARS)
    answer = clean_reading(bare(clean[: end.start()]), conv) if end else None
    return answer if answer and answer.kind in {"number", "choice", "verdict"} else None


def _unmarked(norm: str, conv: Convention) -> Answer | None:
    lines = [line for line in norm.rsplit("\n", _MAX_LINES)[-_MAX_LINES:] if line.strip()]
    if not lines:
        return None
    if answer := clean_reading(bare(lines[-1]), conv):
        return answer
    for line in reversed(lines):
        if "(" in line:  # NFKC has made it of （
            line = _TRAILING_ASIDE.sub("", line)  # noqa: PLW2901
        bold = [b for b in _BOLD.findall(line) if any(c.isdigit() for c in b)] if "**" in line else []
        if answer := (last_number(bold[-1], conv) if bold else None) or last_number(line, conv):
            return answer
    if len(lines) == 1 and len(lines[0]) <= _MAX_SHORT_CHARS:
        return read_normalised(lines[0], conv)
    strong = _BOLD.findall(lines[-1])
    if answer := clean_reading(bare(lines[0].partition(".")[0]), conv):
        return answer
    return read_normalised(strong[-1], conv) if strong else None
