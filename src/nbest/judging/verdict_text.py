"""Reading the verdict at the end of a judge's reply, strictly, in any language and digit system. Pure.

The form is `[[…]]` on the last line, or a JSON object at the end. Full-width and lenticular brackets,
digits of every script, emphasis, code fences and invisible direction marks change nothing.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from typing import Any, Final, Literal, cast

from nbest.text.reasoning import answer_text

Grade = Literal["A>>B", "A>B", "A=B", "B>A", "B>>A"]
"""How a pair compares (Arena-Hard, Li et al. 2024, arXiv 2406.11939)."""

POINTS: Final[dict[Grade, tuple[float, float]]] = {
    "A>>B": (3.0, 0.0),
    "A>B": (1.0, 0.0),
    "A=B": (0.5, 0.5),
    "B>A": (0.0, 1.0),
    "B>>A": (0.0, 3.0),
}
"""What A and B get from one game: `>>` weighs three games, a tie gives each half a one (Arena-Hard v2)."""

_BRACKETS = str.maketrans(
    dict.fromkeys("【〖〚⟦", "[[") | dict.fromkeys("】〗〛⟧", "]]") | {"〔": "[", "〕": "]"}
)
_SIGNS = str.maketrans(
    dict.fromkeys("АΑ", "A")  # Cyrillic and Greek letters that look like ours
    | dict.fromkeys("ВΒ", "B")
    | dict.fromkeys("≫»》", ">>")
    | dict.fromkeys("≪«《", "<<")
    | {"〉": ">", "〈": "<", "≈": "=", "≡": "="}
)
_GRADES: Final[dict[str, Grade]] = {g: g for g in POINTS}
_MARK = re.compile(r"\[{2,}([^\[\]\n]{1,64})\]{2,}")
_GRADE = re.compile(r"([AB])(>>|>|==?|<<|<)([AB])")
_FENCE = re.compile(r"^\s*(?:```|~~~)[^\n]*$", re.MULTILINE)
_NUMBER_ALONE = re.compile(r"[\s\[(*_`\"'#.:]*(\d{1,6})[\s\])*_`\"'.]*")


class NoVerdictError(Exception):
    """The reply holds no verdict; the message says why."""


def choice(reply: str, count: int, *, least: int = 1) -> int:
    """The one number from `least` to `count` that a reply ends with.

    Raises `NoVerdictError` where the last line holds none, where two different numbers are marked
    anywhere (a judge that changes its mind, or quotes a candidate that votes for itself), and where
    the number is out of range.
    """
    text = _final_text(reply)
    alone = _NUMBER_ALONE.fullmatch(text)
    if alone:
        number = int(alone[1])
    else:
        marked = {_number(mark) for mark in _MARK.findall(text)} - {None}
        last = _numbers_at_the_end(text)
        if not last or None in last:
            raise NoVerdictError("the last line holds no verdict")
        different = cast("set[int]", marked | last)
        if len(different) > 1:
            raise NoVerdictError(f"different verdicts: {', '.join(map(str, sorted(different)))}")
        number = different.pop()
    if not least <= number <= count:
        raise NoVerdictError(f"{number} is not between {least} and {count}")
    return number


def grade(reply: str) -> Grade:
    """The last verdict of a comparison. Raises `NoVerdictError` where there is none."""
    text = html.unescape(_final_text(reply)).translate(_SIGNS)
    marked: list[str] = _MARK.findall(text)
    quoted = [value for value in _json_values(text) if isinstance(value, str)]
    for written in (marked, quoted, [text]):
        grades: list[Grade | None] = [_grade(w) for w in written]
        known: list[Grade] = [g for g in grades if g is not None]
        if known:
            return known[-1]
    raise NoVerdictError("no verdict such as [[A>B]]")


def _final_text(reply: str) -> str:
    """A reply without its reasoning and code fences, in one spelling of brackets and digits."""
    text = answer_text(reply)
    if reply.strip() and not text:
        raise NoVerdictError("the reply ends within its reasoning")
    text = unicodedata.normalize("NFKC", text.translate(_BRACKETS))
    text = "".join(_ascii_digit(c) for c in text if unicodedata.category(c) != "Cf")
    text = text.replace("\\[", "[").replace("\\]", "]")
    return _FENCE.sub("", text).strip()


def _numbers_at_the_end(text: str) -> set[int | None]:
    """What the last line marks, else the numbers of a JSON object that ends the text; None for a mark that is no number."""
    lines = text.splitlines()
    if not lines:
        return set()
    marked = {_number(mark) for mark in _MARK.findall(lines[-1])}
    return marked or {*_json_numbers(text)}


def _ascii_digit(char: str) -> str:
    digit = unicodedata.decimal(char, None)
    return char if digit is None else str(digit)


def _number(content: str) -> int | None:
    """The one whole number in a mark: `2`, `候选 2`, `二`; None for none, two, signs and fractions."""
    content = content.strip(" *_`\"'")
    runs = re.findall(r"\d+", content)
    if not runs:
        return _numeral(content)
    if len(runs) > 1 or re.search(r"[-−–.,]\s*\d|\d\s*[.,%/]", content):
        return None
    return int(runs[0])


def _numeral(content: str) -> int | None:
    """A numeral of one character that is no digit: `二`, `Ⅱ`."""
    if len(content) != 1:
        return None
    value = unicodedata.numeric(content, None)
    if value is None or value != int(value):
        return None
    return int(value)


def _grade(content: str) -> Grade | None:
    match = _GRADE.fullmatch(re.sub(r"[\s*_`\"']", "", content))
    if not match or match[1] == match[3]:
        return None
    left, sign, right = match.groups()
    if "=" in sign:
        return "A=B"
    if sign.startswith("<"):
        left, sign, right = right, sign.replace("<", ">"), left
    return _GRADES[f"{left}{sign}{right}"]


def _json_numbers(text: str) -> set[int]:
    """The whole numbers of the JSON object that ends the text, whatever its keys are called."""
    found: set[int] = set()
    for value in _json_values(text):
        if isinstance(value, int) and not isinstance(value, bool):
            found.add(value)
        elif isinstance(value, str):
            alone = _NUMBER_ALONE.fullmatch(value)
            if alone:
                found.add(int(alone[1]))
    return found


def _json_values(text: str) -> list[Any]:
    if not text.endswith("}"):
        return []
    decoder = json.JSONDecoder()
    for brace in re.finditer(r"\{", text):
        try:
            value, end = decoder.raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            continue
        if end == len(text):
            return list(cast("dict[str, Any]", value).values())
    return []
