r"""Where a text says that its answer stands: `\boxed{}`, `####`, tags, and words for "answer"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import regex

from nbest.text.answer_words import Convention
from nbest.text.normalise import same_length_casefold

MAX_TRIES: Final = 8
"""How many marks of a kind are looked at from the end: a bound for hostile texts."""
_MAX_BOXED_CHARS: Final = 2000
_MAX_CLAUSE_CHARS: Final = 100
_AROUND_A_LINE_START: Final = 3

_HASHES = regex.compile(r"^[ \t]*####[ \t]*(?P<content>\S[^\n]*)$", regex.MULTILINE)
_TAGS = regex.compile(
    r"<(answer|final_answer|final|ans)>(?P<content>.{0,500}?)</\1>", regex.DOTALL | regex.IGNORECASE
)
_JOINS_BOXES = regex.compile(
    r"[\s$.\\)(]*(?:,|;|and|or|und|oder|et|ou|y|o|e|и|или|和|或|と|または|و|أو|और|या|,\s*and)?[\s$\\()]*"
)
_BARE_CHOICE = regex.compile(r"\s+(?=[(\[]?[^\s()\[\]]{1,3}[)\]]?(?:['’\s.।。,]|$))|\s*[:：]\s*|(?=[(\[A-Z])")
_SENTENCE_END = regex.compile(r"[.。।!?]")

Strength = Literal["explicit", "strong", "weak", "choosing"]
"""explicit: says where the answer ends. strong: a word for "answer". weak: one such as "result", in the last paragraph
only. choosing: one such as "choose", before the letter of a choice only."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place that says where the answer is."""

    start: int
    end: int
    """Where the answer begins; of explicit marks, where the mark ends."""
    strength: Strength
    content: str | None = None
    """The answer, where the mark says where it ends."""


def explicit_marks(norm: str) -> list[Mark]:
    """The marks of a normalised text that say where the answer ends."""
    return [*_boxes(norm), *_matches(_HASHES, norm, "####"), *_matches(_TAGS, norm, "</")]


def has_explicit_sign(norm: str) -> bool:
    """Whether a text may have an explicit mark."""
    return any(sign in norm for sign in ("####", "</", "\\boxed", "\\fbox"))


def _matches(pattern: regex.Pattern[str], norm: str, hint: str) -> list[Mark]:
    if hint not in norm:
        return []
    found = list(pattern.finditer(norm))[-MAX_TRIES:]
    return [Mark(m.start(), m.end(), "explicit", m["content"]) for m in found]


def _boxes(norm: str) -> Sequence[Mark]:
    r"""`\boxed{…}` with balanced braces, last first; neighbours joined by "and" or a comma are one list."""
    joined: list[Mark] = []
    end = len(norm)
    for _ in range(MAX_TRIES):
        end = max(norm.rfind("\\boxed", 0, end), norm.rfind("\\fbox", 0, end))
        if end < 0:
            break
        mark = box_at(norm, end)
        if mark is None:
            continue
        if joined and _is_joined(norm[mark.end : joined[-1].start]):
            mark = Mark(mark.start, joined[-1].end, "explicit", f"{mark.content}, {joined.pop().content}")
        joined.append(mark)
    return joined


def _is_joined(between: str) -> bool:
    return bool(between.strip(" $.\\()")) and _JOINS_BOXES.fullmatch(between) is not None


def box_at(norm: str, at: int) -> Mark | None:
    r"""The `\boxed{…}` that begins at `at`; None where its braces do not close."""
    start = norm.find("{", at, at + 10)
    if start < 0:
        return None
    end = norm.find("}", start)
    if 0 <= end < start + _MAX_BOXED_CHARS and norm.find("{", start + 1, end) < 0:
        return Mark(at, end + 1, "explicit", norm[start + 1 : end])
    depth = 0
    for i in range(start, min(len(norm), start + _MAX_BOXED_CHARS)):
        depth += (norm[i] == "{") - (norm[i] == "}")
        if depth == 0:
            return Mark(at, i + 1, "explicit", norm[start + 1 : i])
    return None


class Words:
    """Finds words that mark answers in one normalised text."""

    def __init__(self, norm: str, conv: Convention) -> None:
        self.norm = norm
        self.conv = conv
        self.lower = same_length_casefold(norm)

    def strong(self, begin: int = 0) -> list[Mark]:
        """The last place of each word for "answer" from `begin` on; `marks_at` says where the answer begins."""
        if begin and not self._may_hold_marker(begin):
            return []
        found = self._find(self.conv.markers, "strong", begin=begin)
        return found + self._find(self.conv.opening_markers, "strong", begin=begin, at_line_start=True)

    def _may_hold_marker(self, begin: int) -> bool:
        """Whether a marker may stand in the end of the text from `begin` on; never False where one does."""
        end = self.lower[begin:]
        if len(end) > _MAX_CLAUSE_CHARS:
            return True
        starts = {end[i : i + 2] for i in range(len(end))}
        return not starts.isdisjoint(self.conv.marker_starts)

    def weaker(self) -> list[Mark]:
        """The last place of each weak word and of each word for choosing, in the last paragraph."""
        last_paragraph = max(self.norm.rstrip().rfind("\n\n"), 0)
        found = self._find(self.conv.weak_markers, "weak", begin=last_paragraph)
        return found + self._find(self.conv.choosing, "choosing", begin=last_paragraph)

    def marks_at(self, place: Mark) -> Iterator[Mark]:
        """The marks at a place where a word stands, none if no answer can follow; an explicit mark as it is."""
        if place.strength == "explicit":
            yield place
        else:
            yield from self._marks(place.start, place.end, place.strength)

    def _find(
        self, words: Iterable[str], strength: Strength, *, begin: int = 0, at_line_start: bool = False
    ) -> list[Mark]:
        present = filter(self.lower.__contains__, words)  # few of the hundreds of all languages
        places = [(word, self._last_whole(word, begin, at_line_start=at_line_start)) for word in present]
        return [Mark(at, at + len(word), strength) for word, at in places if at is not None]

    def _last_whole(self, word: str, begin: int, *, at_line_start: bool) -> int | None:
        at = len(self.lower)
        for _ in range(MAX_TRIES):
            at = self.lower.rfind(word, begin, at)
            if at < 0:
                return None
            if self._is_part(at, word) or (at_line_start and not self._begins_line(at)):
                continue
            return at
        return None

    def _marks(self, at: int, end: int, strength: Strength) -> Iterator[Mark]:
        joint = self.conv.joint.match(self.norm, end) if strength != "choosing" else None
        if joint:
            yield Mark(at, joint.end(), strength)
            return
        choice = _BARE_CHOICE.match(self.norm, end)
        if choice:
            yield Mark(at, choice.end(), "choosing")
        if strength == "strong" and self._ends_with_copula(end):
            yield Mark(at, end, strength)

    def _is_part(self, at: int, word: str) -> bool:
        """Whether a word stands in a longer one, where its script puts spaces between words."""
        before = self.lower[at - 1 : at]
        behind = self.lower[at + len(word) : at + len(word) + 1]
        is_spaced = word[0] < "\u0e00" and word[0].isalpha()
        if is_spaced and before.isalpha():
            return True
        return word[-1].isascii() and behind.isalpha() and behind < "\u0300"

    def _begins_line(self, at: int) -> bool:
        before = self.lower[max(0, at - _AROUND_A_LINE_START) : at].rpartition("\n")[2]
        return not before.strip(" *_【[(")

    def _ends_with_copula(self, start: int) -> bool:
        """Whether the clause from `start` on is short, and ends with its copula: "उत्तर दिल्ली है"."""
        line = self.norm[start : start + _MAX_CLAUSE_CHARS].partition("\n")[0]
        sentence = _SENTENCE_END.split(line, maxsplit=1)[0]
        found = self.conv.ends_with_copula.search(sentence)
        return found is not None and bool(sentence[: found.start()].strip()) and sentence[0].isspace()
