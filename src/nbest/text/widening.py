"""The whole quantity that a number of a sentence belongs to: `minus 7 degrees`, `2 h 30 min`, `x = 3 or x = 5`.

A sentence is cut into tokens around the number. Those that may belong to a quantity (digits, signs, units, joining
words, months, parts of the day) and touch the number make a region, and the largest part of the region that is read
as one answer is the quantity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

import regex

from nbest.text.answer import Answer
from nbest.text.answer_words import Convention
from nbest.text.normalise import bare, same_length_casefold
from nbest.text.phrase_index import Phrases
from nbest.text.quantity_words import quantity_phrases
from nbest.text.readers import clean_reading
from nbest.text.spelling import respelled

_WINDOW_CHARS: Final = 80
"""How far before and behind a number its quantity reaches at most."""
_MAX_TRIES: Final = 40

_RELATION: Final = r"[<>=≤≥≠∈]|\\(?:leq?|geq?|neq?|lt|gt|in)(?!\p{L})"
_OPERATOR: Final = r"[-+*/^×·÷:±√∞_]|\\(?:cdot|times|pm|infty|pi|sqrt)(?!\p{L})|π|…+|\.{3,6}"
_SPACED: Final = (
    r"\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}\p{Telugu}\p{Hangul}"
)
"""Scripts whose unknown words are taken whole."""
_MAY_BEGIN: Final = frozenset("-+±√∞π$€£¥₽₹₩₺₴৳฿₫₪([{]") | {"\\sqrt", "\\pm", "\\pi", "\\infty"}
_MAY_END: Final = frozenset("%‰°'\"¢π∞$€£¥₽₹₩₺₴৳฿₫₪)]}[") | {"\\pi", "\\infty"}
_JOINT = regex.compile(r"[,;、·،-]|…+|\.{3,6}")
_COMMA_LIST = regex.compile(r"[^\p{L}=(\[{\]]+")
_LABEL_BEFORE = regex.compile(r"(?<![\p{L}\p{M}\p{N}])(?:\p{Latin}|\p{Greek})(?:_?\{?[0-9]{1,2}\}?|')?\s*$")
_IN_DOLLARS = regex.compile(r"(?<![\p{L}\p{N}\\$])\$(?=[^$\s])([^$\n]{1,100}?)(?<=[^\s$])\$(?![\p{N}$])")
_TWO_LETTERS = regex.compile(r"(?<!\\)(?<!\p{L})\p{L}{2,}")


_TOKEN = regex.compile(
    rf"(?P<number>[0-9]+(?:[.,'][0-9]+)*)"
    rf"|(?P<relation>{_RELATION})|(?P<sign>{_OPERATOR}|[,;|、،%‰°'\"¢\p{{Sc}}()\[\]{{}}|₀-₉])"
    rf"|(?P<letter>(?<![\p{{L}}\p{{M}}\\])[\p{{Latin}}\p{{Greek}}](?![\p{{L}}\p{{M}}]))"
    rf"|(?P<other>\\?[{_SPACED}][{_SPACED}\p{{M}}]*|\S)"
)
"""Anything but a word that may stand in a quantity."""
_Kind = Literal["number", "word", "relation", "sign", "letter", "other"]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str
    start: int
    end: int


def without_dollars(line: str) -> str:
    r"""`line` without the `$` around formulas: `x = 2 or x = -7` of `$x = 2$ or $x = -7$`; prices keep theirs."""
    if line.count("$") < 2:  # noqa: PLR2004
        return line
    return _IN_DOLLARS.sub(lambda m: m[0] if _is_price(m[1]) else m[1], line)


def _is_price(inner: str) -> bool:
    return bool(_TWO_LETTERS.search(inner)) or (inner[:1].isdigit() and not inner[-1:].isalnum())


def widened(line: str, start: int, end: int, conv: Convention) -> Answer | None:
    """The quantity around `line[start:end]`, a number of the line; None where there is no more than the number."""
    tokens = _tokens(line, start, end, conv)
    first = next((i for i, m in enumerate(tokens) if m.end > start), None)
    last = next((i for i in range(len(tokens) - 1, -1, -1) if tokens[i].start < end), None)
    if first is None or last is None or first > last:
        return None
    left, right = _left(tokens, first, line), _right(tokens, last, conv)
    for begin, stop in _parts(left, first, last, right):
        if (begin, stop) == (first, last):
            return None
        if _is_loose(tokens, begin, stop):
            continue
        span = line[tokens[begin].start : tokens[stop].end]
        answer = _read(span, conv)
        if answer is not None:
            return answer
    return None


def _tokens(line: str, start: int, end: int, conv: Convention) -> Sequence[_Token]:
    begin = max(0, start - _WINDOW_CHARS)
    if begin:
        begin = max(begin, line.rfind(" ", 0, begin + 20) + 1)
    stop = min(len(line), end + _WINDOW_CHARS)
    words = quantity_phrases(conv.around)
    lower = same_length_casefold(line)
    found: list[_Token] = []
    at = begin
    while at < stop:
        if line[at].isspace():
            at += 1
            continue
        token = _token_at(line, lower, at, words)
        found.append(token)
        at = token.end
    return found


def _token_at(line: str, lower: str, at: int, words: Phrases) -> _Token:
    end = words.end_at(lower, at)
    if end is not None:
        return _Token("word", line[at:end], at, end)
    match = _TOKEN.match(line, at)
    if match is None:
        return _Token("other", line[at], at, at + 1)
    return _Token(cast("_Kind", match.lastgroup), match[0], at, match.end())


def _left(tokens: Sequence[_Token], at: int, line: str) -> int:
    """The first token of the region."""
    while at > 0:
        token = tokens[at - 1]
        if _has_end_of_sentence(line, token, tokens[at]):
            break
        is_equals = token.kind == "relation" and token.text == "="
        if is_equals and not _LABEL_BEFORE.search(line[max(0, token.start - 8) : token.start]):
            break
        if not (_belongs(tokens, at - 1) or _is_name_of_unit(tokens, at - 1)):
            break
        at -= 1
    return at


def _right(tokens: Sequence[_Token], at: int, conv: Convention) -> int:
    """The last token of the region."""
    while at + 1 < len(tokens):
        if tokens[at + 1].kind == "relation" and tokens[at + 1].text == "=":
            # "5 = x" ends before the sign, "x = 3 or y = 5" has its label before it
            before = tokens[at]
            if not (before.kind == "letter" and at >= 1 and _is_joining(tokens[at - 1])):
                break
        is_tail = _is_tail(tokens[at + 1], conv)
        if not (is_tail or _belongs(tokens, at + 1) or _is_name_of_unit(tokens, at + 1)):
            break
        at += 1
    return at


def _belongs(tokens: Sequence[_Token], at: int) -> bool:
    """Whether a token may be part of a quantity."""
    token = tokens[at]
    if token.kind == "letter":
        return _is_variable(tokens, at)
    return token.kind != "other"


def _is_variable(tokens: Sequence[_Token], at: int) -> bool:
    """Whether a single letter stands in a formula: beside a sign, or glued to a number."""
    token = tokens[at]
    before = tokens[at - 1] if at else None
    behind = tokens[at + 1] if at + 1 < len(tokens) else None
    is_glued = before is not None and before.kind == "number" and before.end == token.start
    return is_glued or any(t is not None and t.kind in {"relation", "sign"} for t in (before, behind))


def _is_name_of_unit(tokens: Sequence[_Token], at: int) -> bool:
    """Whether an unknown word stands between a number and a word of a quantity: "4 Grad unter null"."""
    token = tokens[at]
    is_word = token.kind == "other" and token.text[-1:].isalpha()
    behind = tokens[at + 1] if at + 1 < len(tokens) else None
    is_between = tokens[at - 1].kind == "number" and behind is not None and behind.kind == "word"
    return is_word and is_between


def _is_tail(token: _Token, conv: Convention) -> bool:
    return respelled(token.text) in conv.tails


def _is_joining(token: _Token) -> bool:
    return token.kind == "word" or _JOINT.fullmatch(token.text) is not None


def _has_end_of_sentence(line: str, token: _Token, behind: _Token) -> bool:
    return regex.search(r"[.!?。！？।؟:：]", line[token.end : behind.start]) is not None


def _parts(left: int, first: int, last: int, right: int) -> Iterator[tuple[int, int]]:
    """Parts of the region that hold the number, longest first, and of two as long the one that begins earlier."""
    tries = 0
    for length in range(right - left, last - first - 1, -1):
        for begin in range(max(left, last - length), min(first, right - length) + 1):
            yield begin, begin + length
            tries += 1
            if tries >= _MAX_TRIES:
                return


def _is_loose(tokens: Sequence[_Token], begin: int, stop: int) -> bool:
    """Whether a part begins or ends with what only joins, or with half of a pair of brackets."""
    first, last = tokens[begin], tokens[stop]
    begins_badly = first.kind == "sign" and first.text not in _MAY_BEGIN
    ends_badly = last.kind == "relation" or (last.kind == "sign" and last.text not in _MAY_END)
    return begins_badly or ends_badly


def _read(span: str, conv: Convention) -> Answer | None:
    clean = bare(span)
    answer = clean_reading(clean, conv)
    if answer is None or answer.kind in {"choice", "verdict"}:
        return None
    if (
        answer.kind == "text"
        and _COMMA_LIST.fullmatch(clean)
        and clean[:1] not in "([{]"
        and "-" not in answer.key
    ):
        return None  # "12, 5" in a sentence is no list
    if answer.kind == "expression" and not _is_formula(clean):
        return None
    return answer


def _is_formula(clean: str) -> bool:
    return regex.search(r"[<>≤≥≠∈^√π(\[{]|\\|[0-9)]\s?[a-zα-ω](?!\p{L})|[!]", clean) is not None
