"""Numbers in brackets, in one form: intervals `(-∞, 4]`, points `P(3|-4)`, sets `{1, 4}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import regex

from nbest.text.answer_words import Convention
from nbest.text.number import number_key
from nbest.text.quantities import parts_of

_NAME = regex.compile(
    r"^(?:\p{L}[0-9_']{0,3}\s?(?:=|∈|\\in(?!\p{L}))\s?|[A-Z][0-9_']{0,3}\s?(?=\()"
    r"|(?:the\s)?(?:open\s|closed\s)?(?:interval|intervall|intervalle|intervalo|intervallo|range|point|punkt|промежуток"
    r"|отрезок|интервал|区间|區間|区間|구간|点|點|점|przedział|aralığı|khoảng|đoạn|ช่วง|الفترة|अंतराल)\s*)",
    regex.IGNORECASE,
)
"""What stands before the brackets: `x ∈`, `P`, "the interval"."""
_SET = regex.compile(r"\\?\{(.*)\\?\}", regex.DOTALL)
_SEPARATORS: Final = (";", "|", ",")
_PAIR: Final = 2


def bracketed_reading(span: str, conv: Convention) -> str | None:
    """A tuple or an interval with its brackets, a set as its sorted numbers; None for anything else."""
    span = _NAME.sub("", span.strip()).replace("\\infty", "∞")
    braces = _SET.fullmatch(span)
    if braces:
        cells = _cells(braces[1].rstrip("\\"), conv)
        return ",".join(_sorted(cells)) if cells else None
    if len(span) <= _PAIR or span[0] not in "([]" or span[-1] not in ")][":
        return None
    cells = _cells(span[1:-1], conv)
    if len(cells) < _PAIR:
        return None

    opening, closing = span[0], span[-1]
    is_interval = len(cells) == _PAIR and (opening == "]" or closing == "[")
    if is_interval:  # ]2; 5[ is (2, 5)
        opening, closing = opening.replace("]", "("), closing.replace("[", ")")
    if opening == "]" or closing == "[":
        return None
    return f"{opening}{','.join(cells)}{closing}"


def _sorted(cells: Sequence[str]) -> Sequence[str]:
    return sorted(set(cells), key=lambda c: (float("inf") if "∞" in c else _value(c), c))


def _value(key: str) -> float:
    above, _, below = key.partition("/")
    return float(above) / float(below or 1)


def _cells(inner: str, conv: Convention) -> Sequence[str]:
    """The numbers of `1, 2, 3`; none where a cell is anything else."""
    mark = next((mark for mark in _SEPARATORS if mark in inner), ",")
    cells: list[str] = []
    for cell in inner.split(mark):
        found = _cell(cell.strip(), conv)
        if found is None:
            return ()
        cells.append(found)
    return cells if len(cells) > 1 else ()


def _cell(cell: str, conv: Convention) -> str | None:
    plain = cell.replace(" ", "")
    if plain in {"∞", "+∞", "-∞"}:
        return plain.lstrip("+")
    parts = parts_of(cell, conv)
    if not parts or len(parts.numbers) != 1 or parts.before or parts.behind[0].strip():
        return None
    return number_key(parts.numbers[0].values[0])
