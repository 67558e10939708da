"""The final answer of a text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, cast

import regex

from nbest.text.answer import Answer, words_answer
from nbest.text.answer_words import Convention, convention
from nbest.text.asides import is_partial, kept_choice, without_asides
from nbest.text.marks import MAX_TRIES, Mark, Words, box_at, explicit_marks, has_explicit_sign
from nbest.text.normalise import bare, normalised, plain_latex, same_length_casefold
from nbest.text.readers import clean_reading, read_normalised
from nbest.text.reasoning import answer_text
from nbest.text.sentence_numbers import marked_phrase, sentence_number
from nbest.text.sentences import (
    MAX_SHORT_CHARS,
    first_clause,
    last_sentence,
    lone_choice,
    predicate,
    without_article,
    without_copula,
)
from nbest.text.spelling import text_key
from nbest.types import replace

_MAX_LINES: Final = 40
_MAX_FEW_WORDS: Final = 4
_MAX_BEFORE_CHARS: Final = 24
"""How far before a marker a word stands that belongs to it."""
_MAX_LAST_LINE_CHARS: Final = 200
"""Longer last lines hardly come twice."""

_BEGINS_OBJECT: Final = frozenset("{`~")
"""An object, or the fence around one."""
_BOXED: Final = "\\boxed"
_CLOSING: Final = " \n.。।$*)】"
"""What may stand behind the last box and says nothing."""
_OF_A_NUMBER: Final = "0123456789.,-+/ "
_MAX_LINES_LOOKED_AT: Final = 20
_BEFORE_LETTERS = re.compile(r"[\W\d]{0,12}")
"""Of `re`, as what is asked of every text: `regex` lets go of the interpreter's lock at each call, and a gateway's other
threads take it."""
_BREAKS: Final = frozenset(".!?…\n:)]。！？।؟*")
"""One of these stands before every correction."""
_BOLD = regex.compile(r"\*\*([^*\n]{1,100})\*\*")
_FENCE = regex.compile(r"^\s*(?:```|~~~)[^\n]*$", regex.MULTILINE)
_HEAD = regex.compile(r"([^,،、(;—–]{2,60}?)\s?(?:[,،、(;]|\s[—–])\s?\p{L}")
_LABEL = regex.compile(r"[\s*_#>-]{0,8}\p{L}[\p{L}\p{M}’' ]{0,40}[*_]{0,2}\s?[:：՝፦=][*_]{0,2}\s*(?=\S)")
_EQUATION = regex.compile(r"[0-9)]\s*[-+*/×÷:·−]\s*[(0-9][^=\n]{0,80}=")


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
    norm, conv = _read_part(text), convention(language)
    boxed = _number_in_last_box(norm, conv)
    if boxed is not None:
        return boxed
    return _from_json(norm, conv) or _marked_last(norm, conv) or _marked(norm, conv) or _unmarked(norm, conv)


def extract_marked(text: str, *, language: str | None = None) -> Answer | None:
    r"""The final answer that a text itself says is one; None without `\boxed`, `####` or a marker."""
    return _marked(_read_part(text), convention(language))


_SPECIAL_TOKENS = regex.compile(
    r"<\|[\w-]{1,30}\|>|</?s>|<(?:eos|bos|pad|end_of_turn|start_of_turn)>|\[/?INST\]"
)


def _read_part(text: str) -> str:
    """The end of a text, normalised, without reasoning and tokens that a server forgot to leave out."""
    norm = normalised(answer_text(text))
    if "<" not in norm and "[" not in norm:
        return norm
    return _SPECIAL_TOKENS.sub("", norm)


def _from_json(norm: str, conv: Convention) -> Answer | None:
    """The field for the answer of a text that is one JSON object."""
    fields = _json_fields(norm)
    if not fields:
        return None  # of most texts: the markers of all languages are many
    for word in (*conv.markers, *conv.weak_markers):
        value = fields.get(word)
        if isinstance(value, str | int | float):
            return read_normalised(normalised(str(value)), conv)
    return None


def _json_fields(norm: str) -> Mapping[str, object]:
    """The fields of a text that is one JSON object, perhaps between fences; names as words."""
    if "{" not in norm or norm.lstrip()[:1] not in _BEGINS_OBJECT:
        return {}
    inner = _FENCE.sub("", norm).strip()
    if inner[:1] != "{" or inner[-1:] != "}":
        return {}
    try:
        found = json.loads(inner)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    fields = cast("dict[str, object]", found)
    return {same_length_casefold(name).replace("_", " "): value for name, value in fields.items()}


def _number_in_last_box(norm: str, conv: Convention) -> Answer | None:
    r"""What `_marked` finds, sooner, in a text that ends in one `\boxed{42}`, as most worked solutions do.

    None where it must read on: more than a number in the box, words behind it that are no copula, more boxes,
    a last paragraph that may be a check.
    """
    start = norm.find(_BOXED)
    mark = box_at(norm, start) if start >= 0 else None
    if mark is None or mark.content is None:
        return None
    behind = norm[mark.end :].strip(_CLOSING)
    if behind and behind not in conv.tails:
        return None
    is_more = mark.content.strip(_OF_A_NUMBER) or "\\fbox" in norm
    last_paragraph = norm[norm.rfind("\n\n", 0, start) + 1 : start]
    if is_more or _may_check(same_length_casefold(last_paragraph), conv):
        return None
    return read_normalised(mark.content, conv)


def _marked_last(norm: str, conv: Convention) -> Answer | None:
    """What `_marked` finds, sooner, where a word in the last line marks the answer; None where it must read on.

    Most worked solutions end so, and many of them in the same line ("Answer: 42"), which is remembered. Marks
    that hold against later words, and a check in the last paragraph, take the whole text.
    """
    if has_explicit_sign(norm):
        return None
    written = norm.rstrip()
    last_line = norm[written.rfind("\n") + 1 :]
    last_paragraph = written.rpartition("\n\n")[2]
    if len(last_line) > _MAX_LAST_LINE_CHARS or _checks(same_length_casefold(last_paragraph), conv):
        return None
    return _marked_in_line(last_line, conv)


@lru_cache(maxsize=1 << 14)
def _marked_in_line(line: str, conv: Convention) -> Answer | None:
    return _marked(line, conv)


def _marked(norm: str, conv: Convention) -> Answer | None:
    words = Words(norm, conv)
    checks = _checks(words.lower, conv)
    explicit = explicit_marks(norm)
    has_explicit = any(not _is_inside(m.start, checks) for m in explicit)

    in_words: Answer | None = None
    marks = (
        _beside_explicit(words, explicit, checks) if has_explicit else _last_first(words, explicit, checks)
    )
    for mark in marks:
        if has_explicit and mark.strength == "choosing":
            continue
        if mark.strength == "weak" and is_partial(norm[max(0, mark.start - _MAX_BEFORE_CHARS) : mark.end]):
            continue
        answer = _at(mark, norm, conv)
        if answer is None:
            continue
        if has_explicit and answer.kind == "text" and mark.strength != "explicit":
            in_words = in_words or answer  # "so the answer is as above", behind a box
            continue
        return _corrected(words, mark, checks) or answer
    return in_words


def _last_first(words: Words, explicit: Sequence[Mark], checks: Sequence[tuple[int, int]]) -> Iterator[Mark]:
    """The marks of a text, last first, those in a check behind all others."""
    for place in _ordered([*explicit, *words.strong(), *words.weaker()], checks):
        yield from words.marks_at(place)


def _beside_explicit(
    words: Words, explicit: Sequence[Mark], checks: Sequence[tuple[int, int]]
) -> Iterator[Mark]:
    """As `_last_first`, strong words only. What stands before the last explicit mark is read only if that is no answer."""
    last = max((m for m in explicit if not _is_inside(m.start, checks)), key=lambda m: m.start)
    begin = last.start + (len(_BOXED) if words.norm.startswith(_BOXED, last.start) else 1)
    behind = [m for m in words.strong(begin) if not _is_inside(m.start, checks)]
    for place in _ordered([last, *behind], ()):
        yield from words.marks_at(place)

    others = [m for m in (*explicit, *words.strong()) if m is not last]
    before = [m for m in others if m.start <= last.start or _is_inside(m.start, checks)]
    for place in _ordered(before, checks):
        yield from words.marks_at(place)


def _ordered(places: Sequence[Mark], checks: Sequence[tuple[int, int]]) -> list[Mark]:
    last_first = sorted(places, key=lambda m: m.start, reverse=True)
    if not checks:
        return last_first
    return sorted(last_first, key=lambda m: _is_inside(m.start, checks))


def _at(mark: Mark, norm: str, conv: Convention) -> Answer | None:
    """What stands at a mark."""
    if mark.content is not None:
        return read_normalised(mark.content, conv)
    if mark.strength != "choosing":
        return _after_marker(norm, mark.end, conv)
    line = bare(norm[mark.end :].partition("\n")[0][:MAX_SHORT_CHARS])
    answer = clean_reading(line, conv) or first_clause(line, conv)
    return answer if answer and answer.kind in {"choice", "verdict"} else None


def _after_marker(norm: str, start: int, conv: Convention) -> Answer | None:
    """What the line behind a marker says: an answer by itself, one before its reasons, or a phrase around one."""
    line, below = _line_and_below(norm[start:])
    clean = without_asides(bare(line), norm[max(0, start - _MAX_BEFORE_CHARS) : start])
    without = without_copula(clean, conv)
    answer = (
        kept_choice(clean, conv)
        or clean_reading(clean, conv)
        or clean_reading(without, conv)
        or first_clause(clean, conv)
    )
    if answer or not without:
        return answer

    answer = marked_phrase(clean, conv)
    if answer:
        return answer
    if _has_digit(below) and len(without.split()) > _MAX_FEW_WORDS:
        return None  # "Answer: let us think step by step"
    short = without_copula(next(_sentences(without)), conv)
    return _words_and_head(short) if short and len(short) <= MAX_SHORT_CHARS else None


def _line_and_below(rest: str) -> tuple[str, str]:
    """The first line that says anything, and what is below it."""
    line, _, below = rest.partition("\n")
    if not any(c.isalnum() for c in line) or line.strip().startswith(("```", "~~~")):
        line, _, below = _FENCE.sub("", below, count=1).lstrip().partition("\n")
    return line, below


def _has_digit(text: str) -> bool:
    return any(c.isdigit() for c in text)


_BETWEEN_SENTENCES = regex.compile(r"(?<=\p{Ll}{3})\.\s|[。！？।؟]")


def _sentences(text: str) -> Iterator[str]:
    yield from _BETWEEN_SENTENCES.split(text)


def _words_and_head(short: str) -> Answer | None:
    """`Paris, the capital of France` as a whole, and as Paris."""
    answer = words_answer(short)
    if answer is None:
        return None
    parts = [without_article(short)]
    head = _HEAD.match(short)
    if head and len(head[1].split()) <= _MAX_FEW_WORDS:
        parts.append(head[1])
    return replace(answer, readings=tuple(dict.fromkeys((*answer.readings, *map(text_key, parts)))))


def _corrected(words: Words, mark: Mark, checks: Sequence[tuple[int, int]]) -> Answer | None:
    """What a later sentence says in place of a marked answer."""
    lower, conv = words.lower, words.conv
    if _BREAKS.isdisjoint(lower[mark.end :]):
        return None
    cues = list(conv.correcting.finditer(lower, mark.end))[-MAX_TRIES:]
    for cue in reversed(cues):
        is_check = _is_inside(cue.end(), checks)
        if is_check or conv.checks_inside.search(lower, cue.end(), cue.end() + MAX_SHORT_CHARS):
            continue
        answer = _unmarked(words.norm[cue.end() :], conv)
        if answer and answer.kind != "text":
            return answer
    return None


def _checks(lower: str, conv: Convention) -> list[tuple[int, int]]:
    """Where the paragraphs of a case-folded text stand that check an answer."""
    if not _may_check(lower, conv):
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


def _may_check(lower: str, conv: Convention) -> bool:
    """Whether a line may begin with a word for a check: told by two characters first. Never False where one does."""
    lines = lower.split("\n")
    if len(lines) > _MAX_LINES_LOOKED_AT:
        return any(map(lower.__contains__, conv.check_words))
    for line in lines:
        before = _BEFORE_LETTERS.match(line)
        num_before = before.end() if before else 0
        for at in range(num_before + 1):
            words = conv.check_words_by_start.get(line[at : at + 2])
            if words and line.startswith(words, at) and conv.checking.match(line):
                return True
    return False


def _is_inside(at: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= at < end for start, end in spans)


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    for start, end in reversed(spans):
        text = text[:start] + text[end:]
    return text


def _unmarked(norm: str, conv: Convention) -> Answer | None:
    whole = "\n".join(norm.rsplit("\n", _MAX_LINES)[-_MAX_LINES:])
    if "```" in whole or "~~~" in whole:
        whole = _FENCE.sub("", whole)
    unchecked = _without(whole, _checks(same_length_casefold(whole), conv))
    for text in dict.fromkeys((unchecked, whole)):
        answer = _of_lines([line for line in text.split("\n") if line.strip()], conv)
        if answer:
            return answer
    return None


def _of_lines(lines: Sequence[str], conv: Convention) -> Answer | None:
    if not lines:
        return None
    last = bare(lines[-1])
    answer = kept_choice(last, conv) or _labelled(lines, conv) or clean_reading(last, conv)
    answer = answer or clean_reading(without_copula(last, conv), conv)
    if answer:
        return answer
    for line in reversed(lines):
        answer = sentence_number(line, conv)
        if answer:
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
    """The answer of lines without a number."""
    last = bare(lines[-1])
    answer = first_clause(last, conv) or lone_choice(last, conv)
    if answer:
        return answer
    bold = _BOLD.findall(lines[-1])
    if bold:
        return read_normalised(bold[-1], conv)
    answer = predicate(last_sentence(plain_latex(last)), conv)
    if answer:
        return answer
    if len(lines) == 1 and len(lines[0]) <= MAX_SHORT_CHARS:
        return read_normalised(lines[0], conv)
    return clean_reading(bare(lines[0].partition(".")[0]), conv)
