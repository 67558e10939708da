"""Where in a text its final answer stands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, cast

import regex

from nbest.text.answer import Answer
from nbest.text.answer_words import Convention, convention
from nbest.text.normalise import bare, normalised, plain_latex, same_length_casefold
from nbest.text.readers import clean_reading, read_normalised, words_reading
from nbest.text.reasoning import answer_text
from nbest.text.sentences import (
    MAX_SHORT_CHARS,
    first_clause,
    lone_choice,
    marked_phrase,
    predicate,
    sentence_number,
    without_article,
    without_copula,
)
from nbest.text.spelling import text_key
from nbest.types import replace

_MAX_TRIES: Final = 8
"""How many marks of a kind are tried from the end: a bound for hostile texts."""
_MAX_LINES: Final = 40
_MAX_BOXED_CHARS: Final = 2000
_MAX_FEW_WORDS: Final = 4

_HASHES = regex.compile(r"^[ \t]*####[ \t]*(\S[^\n]*)$", regex.MULTILINE)
_TAGS = regex.compile(r"<(answer|final_answer|final|ans)>(.{0,500}?)</\1>", regex.DOTALL | regex.IGNORECASE)
_BOLD = regex.compile(r"\*\*([^*\n]{1,100})\*\*")
_FENCE = regex.compile(r"^\s*(?:```|~~~)[^\n]*$", regex.MULTILINE)
_JOINS_BOXES = regex.compile(
    r"[\s$.\\)(]*(?:,|;|and|or|und|oder|et|ou|y|o|e|и|или|和|或|と|または|و|أو|और|या|,\s*and)?[\s$\\()]*"
)
_BARE_CHOICE = regex.compile(r"\s+(?=[(\[]?[^\s()\[\]]{1,3}[)\]]?(?:['’\s.।。,]|$))|\s*[:：]\s*|(?=[(\[A-Z])")
_LABEL = regex.compile(r"[\s*_#>-]{0,8}\p{L}[\p{L}\p{M}’' ]{0,40}[*_]{0,2}\s?[:：՝፦=][*_]{0,2}\s*(?=\S)")
_EQUATION = regex.compile(r"[0-9)]\s*[-+*/×÷:·−]\s*[(0-9][^=\n]{0,80}=")

_HEAD = regex.compile(r"([^,،、(;—–]{2,60}?)\s?(?:[,،、(;]|\s[—–])\s?\p{L}")

Strength = Literal["explicit", "strong", "weak", "choosing"]


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place that says where the answer is."""

    start: int
    end: int
    """Where the answer begins; for `\\boxed`, `####` and tags where it ends."""
    strength: Strength
    content: str | None = None
    """The answer, where the mark says where it ends."""


@lru_cache(maxsize=1 << 10)
def extract(text: str, *, language: str | None = None) -> Answer | None:
    r"""The final answer of a text, or None where it has none.

    Reasoning between tags (`answer_text`) is not read. In this order:

    1. a JSON object with a field for the answer;
    2. the last place that says it is the answer: `\boxed{}`, `#### …` (GSM8K), `<answer>`, or "answer:" in
       `language` or English, in any language where it is None; words such as "result" in the last paragraph
       only; unless a later sentence takes it back ("wait", "actually");
    3. a last line that is an answer by itself;
    4. the number, else the predicate, of the last sentence.

    A paragraph that checks the answer is not read where another has one. `language` also settles what
    `1.234` means. Reads at most the last 20 000 characters, in linear time; never raises. Remembers the
    latest texts, since pools repeat themselves.
    """
    norm, conv = normalised(answer_text(text)), convention(language)
    return _from_json(norm, conv) or _marked(norm, conv) or _unmarked(norm, conv)


def extract_marked(text: str, *, language: str | None = None) -> Answer | None:
    r"""The final answer that a text itself says is one; None without `\boxed`, `####` or a marker."""
    return _marked(normalised(answer_text(text)), convention(language))


def _from_json(norm: str, conv: Convention) -> Answer | None:
    """The field for the answer of a text that is one JSON object."""
    inner = _FENCE.sub("", norm).strip() if "{" in norm else ""
    if inner[:1] != "{" or inner[-1:] != "}":
        return None
    try:
        found = json.loads(inner)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None

    fields = {
        same_length_casefold(k).replace("_", " "): v for k, v in cast("dict[str, object]", found).items()
    }
    for word in (*conv.markers, *conv.weak_markers):
        value = fields.get(word)
        if isinstance(value, str | int | float):
            return read_normalised(normalised(str(value)), conv)
    return None


def _marked(norm: str, conv: Convention) -> Answer | None:
    checks = _checks(norm, conv)
    marks = sorted(_marks(norm, conv), key=lambda m: m.start, reverse=True)
    outside = [m for m in marks if not any(start <= m.start < end for start, end in checks)]
    has_explicit = any(m.strength == "explicit" for m in outside)

    in_words: Answer | None = None
    for mark in [*outside, *(m for m in marks if m not in outside)]:
        if has_explicit and mark.strength in {"weak", "choosing"}:
            continue
        answer = _at(mark, norm, conv)
        if answer is None:
            continue
        if has_explicit and answer.kind == "text" and mark.strength != "explicit":
            in_words = in_words or answer  # "so the answer is as above", behind a box
            continue
        return _corrected(norm, mark, conv, checks) or answer
    return in_words


def _marks(norm: str, conv: Convention) -> Iterator[_Mark]:
    yield from _boxes(norm)
    if "####" in norm:
        found = list(_HASHES.finditer(norm))[-_MAX_TRIES:]
        yield from (_Mark(m.start(), m.end(), "explicit", m[1]) for m in found)
    if "</" in norm:
        found = list(_TAGS.finditer(norm))[-_MAX_TRIES:]
        yield from (_Mark(m.start(), m.end(), "explicit", m[2]) for m in found)
    lower = same_length_casefold(norm)
    yield from _words(norm, lower, conv.markers, "strong", conv)
    last_paragraph = max(norm.rstrip().rfind("\n\n"), 0)
    yield from _words(norm, lower, conv.opening_markers, "strong", conv, at_line_start=True)
    yield from _words(norm, lower, conv.weak_markers, "weak", conv, begin=last_paragraph)
    yield from _words(norm, lower, conv.choosing, "choosing", conv, begin=last_paragraph)


def _boxes(norm: str) -> Iterator[_Mark]:
    r"""`\boxed{…}` with balanced braces, last first; neighbours joined by "and" or a comma are one list."""
    found: list[_Mark] = []
    end = len(norm)
    for _ in range(_MAX_TRIES):
        end = max(norm.rfind("\\boxed", 0, end), norm.rfind("\\fbox", 0, end))
        if end < 0:
            break
        if mark := _box(norm, end):
            found.append(mark)
    joined: list[_Mark] = []
    for mark in found:
        last = joined[-1] if joined else None
        between = norm[mark.end : last.start] if last else None
        if last and between and _JOINS_BOXES.fullmatch(between) and between.strip(" $.\\()"):
            joined[-1] = _Mark(mark.start, last.end, "explicit", f"{mark.content}, {last.content}")
        else:
            joined.append(mark)
    yield from joined


def _box(norm: str, at: int) -> _Mark | None:
    start = norm.find("{", at, at + 10)
    if start < 0:
        return None
    depth = 0
    for i in range(start, min(len(norm), start + _MAX_BOXED_CHARS)):
        depth += (norm[i] == "{") - (norm[i] == "}")
        if depth == 0:
            return _Mark(at, i + 1, "explicit", norm[start + 1 : i])
    return None


def _words(
    norm: str,
    lower: str,
    words: Iterable[str],
    strength: Strength,
    conv: Convention,
    *,
    begin: int = 0,
    at_line_start: bool = False,
) -> Iterator[_Mark]:
    """Where the answers behind `words` begin."""
    for word in words:
        at = len(lower)
        for _ in range(_MAX_TRIES):
            at = lower.rfind(word, begin, at)
            if at < 0:
                break
            is_inside = _is_part(lower, at, word)
            if is_inside or (at_line_start and lower[max(0, at - 3) : at].strip(" *_【[(\n")):
                continue
            end = at + len(word)
            joint = conv.joint.match(norm, end)
            if joint and strength != "choosing":
                yield _Mark(at, joint.end(), strength)
                break
            if choice := _BARE_CHOICE.match(norm, end):
                yield _Mark(at, choice.end(), "choosing")
            if strength == "strong" and _ends_with_copula(norm, end, conv):
                yield _Mark(at, end, strength)
            break


def _is_part(lower: str, at: int, word: str) -> bool:
    """Whether a word stands in a longer one, where its script puts spaces between words."""
    before = lower[at - 1 : at]
    behind = lower[at + len(word) : at + len(word) + 1]
    is_spaced = word[0] < "\u0e00" and word[0].isalpha()
    if is_spaced and before.isalpha():
        return True
    return word[-1].isascii() and behind.isalpha() and behind < "\u0300"


def _ends_with_copula(norm: str, start: int, conv: Convention) -> bool:
    """Whether the clause from `start` on is short, and ends with its copula: "उत्तर दिल्ली है"."""
    line = norm[start : start + MAX_SHORT_CHARS].partition("\n")[0]
    sentence = regex.split(r"[.。।!?]", line, maxsplit=1)[0]
    found = conv.ends_with_copula.search(sentence)
    return found is not None and bool(sentence[: found.start()].strip()) and sentence[:1].isspace()


def _at(mark: _Mark, norm: str, conv: Convention) -> Answer | None:
    if mark.content is not None:
        clean = bare(mark.content)
        return read_normalised(clean, conv) if clean else None
    if mark.strength == "choosing":
        line = norm[mark.end :].partition("\n")[0][:MAX_SHORT_CHARS]
        answer = clean_reading(bare(line), conv) or first_clause(bare(line), conv)
        return answer if answer and answer.kind in {"choice", "verdict"} else None
    return _after_marker(norm, mark.end, conv)


def _after_marker(norm: str, start: int, conv: Convention) -> Answer | None:
    """What the line behind a marker says: an answer by itself, one before its reasons, or a phrase around one."""
    line, _, below = norm[start:].partition("\n")
    if not any(c.isalnum() for c in line) or line.strip().startswith(("```", "~~~")):
        line, _, below = _FENCE.sub("", below, count=1).lstrip().partition("\n")
    clean = bare(line)
    without = without_copula(clean, conv)
    answer = clean_reading(clean, conv) or clean_reading(without, conv) or first_clause(clean, conv)
    if answer or not without:
        return answer

    has_numbers = any(c.isdigit() for c in clean)
    if has_numbers and (answer := marked_phrase(clean, conv)):
        return answer
    has_more = any(c.isdigit() for c in below)
    if has_more and len(without.split()) > _MAX_FEW_WORDS:
        return None  # "Answer: let us think step by step"
    sentence = regex.split(r"(?<=\p{Ll}{3})\.\s|[。！？।؟]", without, maxsplit=1)[0]
    short = without_copula(sentence, conv)
    return _words_and_head(short) if short and len(short) <= MAX_SHORT_CHARS else None


def _words_and_head(short: str) -> Answer | None:
    """`Paris, the capital of France` as a whole, and as Paris."""
    answer = words_reading(short)
    head = _HEAD.match(short)
    if answer is None:
        return None
    parts = [without_article(short)]
    if head and len(head[1].split()) <= _MAX_FEW_WORDS:
        parts.append(head[1])
    return replace(answer, readings=tuple(dict.fromkeys((*answer.readings, *map(text_key, parts)))))


def _corrected(norm: str, mark: _Mark, conv: Convention, checks: Sequence[tuple[int, int]]) -> Answer | None:
    """What a later sentence says in place of a marked answer."""
    lower = same_length_casefold(norm)
    for cue in list(conv.correcting.finditer(lower, mark.end))[-_MAX_TRIES:][::-1]:
        is_check = any(start <= cue.end() < end for start, end in checks)
        rest = norm[cue.end() :]
        if is_check or conv.checks_inside.search(same_length_casefold(rest[:MAX_SHORT_CHARS])):
            continue
        answer = _unmarked(rest, conv)
        if answer and answer.kind != "text":
            return answer
    return None


def _checks(norm: str, conv: Convention) -> list[tuple[int, int]]:
    """The paragraphs that check an answer."""
    lower = same_length_casefold(norm)
    if not any(word in lower for word in conv.check_words):
        return []
    spans: list[tuple[int, int]] = []
    start = 0
    for paragraph in lower.split("\n\n"):
        at = start
        for line in paragraph.split("\n"):
            if conv.checking.match(line):
                spans.append((at, start + len(paragraph)))
                break
            at += len(line) + 1
        start += len(paragraph) + 2
    return spans


def _unmarked(norm: str, conv: Convention) -> Answer | None:
    tail = "\n".join(norm.rsplit("\n", _MAX_LINES)[-_MAX_LINES:])
    whole = _FENCE.sub("", tail) if "```" in tail or "~~~" in tail else tail
    unchecked = _without(whole, _checks(whole, conv))
    for text in dict.fromkeys((unchecked, whole)):
        if answer := _of_lines([line for line in text.split("\n") if line.strip()], conv):
            return answer
    return None


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    for start, end in reversed(spans):
        text = text[:start] + text[end:]
    return text


def _of_lines(lines: Sequence[str], conv: Convention) -> Answer | None:
    if not lines:
        return None
    if answer := _labelled(lines, conv):
        return answer
    last = bare(lines[-1])
    if answer := clean_reading(last, conv) or clean_reading(without_copula(last, conv), conv):
        return answer
    for line in reversed(lines):
        if answer := sentence_number(line, conv):
            return answer
    return _in_words(lines, conv)


def _labelled(lines: Sequence[str], conv: Convention) -> Answer | None:
    """`Foo: 42` before lines such as `Bar: 42 / 6 = 7`, in a language whose words are not known."""
    for i in range(len(lines) - 1, 0, -1):
        label = _LABEL.match(lines[i])
        if not label or not _EQUATION.search(lines[i], label.end()):
            return None
        before = _LABEL.match(lines[i - 1])
        if before and not _EQUATION.search(lines[i - 1]):
            return clean_reading(bare(lines[i - 1][before.end() :]), conv)
    return None


def _in_words(lines: Sequence[str], conv: Convention) -> Answer | None:
    last = bare(lines[-1])
    if answer := first_clause(last, conv):
        return answer
    if answer := lone_choice(last, conv):
        return answer
    bold = _BOLD.findall(lines[-1])
    if bold:
        return read_normalised(bold[-1], conv)
    if answer := predicate(
        regex.split(r"(?<=\p{Ll}{3})[.]\s|[。！？।؟]\s?(?=\S)", plain_latex(last))[-1], conv
    ):
        return answer
    if len(lines) == 1 and len(lines[0]) <= MAX_SHORT_CHARS:
        return read_normalised(lines[0], conv)
    return clean_reading(bare(lines[0].partition(".")[0]), conv)
