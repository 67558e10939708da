"""Reading a judge's last word, strictly, in any language and digit system. Pure.

The form is `[[…]]` on the last line, or a JSON object at the end. Full-width and lenticular brackets,
digits of every script, emphasis, code fences and invisible direction marks change nothing.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from typing import Any, Final, Literal, cast

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
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_UNFINISHED_THOUGHT = re.compile(r"^\s*<think(?:ing)?>", re.IGNORECASE)
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
    if alone := _NUMBER_ALONE.fullmatch(text):
        found = last = {int(alone[1])}
    else:
        found = {n for m in _MARK.findall(text) if (n := _number(m)) is not None}
        last_line = text.splitlines()[-1] if text else ""
        last = {_number(m) for m in _MARK.findall(last_line)} or _json_numbers(text)
    if not last or None in last:
        raise NoVerdictError("the last line holds no verdict")
    if len(both := found | cast("set[int]", last)) > 1:
        raise NoVerdictError(f"different verdicts: {', '.join(map(str, sorted(both)))}")
    number = both.pop()
    if not least <= number <= count:
        raise NoVerdictError(f"{number} is not between {least} and {count}")
    return number


def grade(reply: str) -> Grade:
    """The last verdict of a comparison. Raises `NoVerdictError` where there is none."""
    text = html.unescape(_final_text(reply)).translate(_SIGNS)
    grades: list[Grade] = [g for m in _MARK.findall(text) if (g := _grade(m))]
    if not grades:
        grades = [g for v in _json_values(text) if isinstance(v, str) and (g := _grade(v))]
    last = grades[-1] if grades else _grade(text)
    if last is None:
        raise NoVerdictError("no verdict such as [[A>B]]")
    return last


def without_thought(reply: str) -> str:
    """What stands after a reasoning model's thoughts; the empty string where it ends within one."""
    text = _THOUGHT.split(reply)[-1]
    return "" if _UNFINISHED_THOUGHT.match(text) else text


def _final_text(reply: str) -> str:
    """What stands after a reasoning model's thoughts, in one spelling, without code fences."""
    text = without_thought(reply)
    if reply.strip() and not text:
        raise NoVerdictError("the reply ends within a thought")
    text = unicodedata.normalize("NFKC", text.translate(_BRACKETS))
    text = "".join(_ascii_digit(c) for c in text if unicodedata.category(c) != "Cf")
    text = text.replace("\\[", "[").replace("\\]", "]")
    return _FENCE.sub("", text).strip()


def _ascii_digit(char: str) -> str:
    digit = unicodedata.decimal(char, None)
    return char if digit is None else str(digit)


def _number(content: str) -> int | None:
    """The one whole number in a mark: `2`, `候选 2`, `二`; None for none, two, signs and fractions."""
    content = content.strip(" *_`\"'")
    runs = re.findall(r"\d+", content)
    if not runs:
        value = unicodedata.numeric(content, None) if len(content) == 1 else None
        return int(value) if value is not None and value == int(value) else None
    if len(runs) > 1 or re.search(r"[-−–.,]\s*\d|\d\s*[.,%/]", content):
        return None
    return int(runs[0])


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
        elif isinstance(value, str) and (alone := _NUMBER_ALONE.fullmatch(value)):
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
