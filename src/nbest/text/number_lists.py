"""Answers of several numbers: `17 R 3`, `3-5`, `x = 3 or x = 5`, `(2, 5)`, `±5`, `2 + 3i`, each in one form.

They are read as a whole or not at all: a part that is not understood makes the reading None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

import regex

from nbest.text.answer_words import Convention
from nbest.text.digits import readings
from nbest.text.number import number_key
from nbest.text.number_intervals import bracketed_reading
from nbest.text.quantities import MAX_CHARS, Parts, is_connective, is_tail, parts_of, without_about
from nbest.text.quantity_words import unit_at_start, words

_LABEL = regex.compile(r"(?:\\?[\p{Latin}\p{Greek}][\w']{0,3})\s*=$")
_RATIO = regex.compile(r"[0-9]{1,9}(?:\s?:\s?[0-9]{1,9}){1,4}")
_SHORT_REMAINDER = regex.compile(r"(?<=[0-9])\s?(?:[rR]|\.{3,6})\s?(?=[0-9])")
_DASH = regex.compile(r"(?<=[0-9%°])\s?[-–—~〜]\s?(?=[0-9$€£])")
_COMMAS = regex.compile(r"[0-9]+(?:,[0-9]+){2,}")
_ONE_WORD = regex.compile(r"\s?\p{L}[\p{L}\p{M}]*[\s.]*")
_PLUS_MINUS = regex.compile(
    r"(?:[\p{Latin}]\s?=\s?)?(?:±|\\pm|\+/-|\+-|plus or minus\s|plus ou moins\s|plus oder minus\s|más o menos\s|più o meno\s"
    r"|mais ou menos\s|плюс-минус\s|正负|正負|플러스마이너스|プラスマイナス)\s?(.+)",
    regex.DOTALL,
)
_COMPLEX = regex.compile(
    r"(?P<real>[+-]?[0-9.]+)?\s*(?P<imaginary>(?:[+-]\s*|^)[0-9.]*)\s*i"
    r"|(?P<first>[+-]?[0-9.]*)i\s*(?P<second>[+-]\s*[0-9.]+)"
)
_ARTICLES: Final = frozenset(
    {"the", "a", "le", "un", "der", "ein", "einen", "el", "o", "um", "το", "het", "een"}
)
"""Before a word for the remainder; "il" is none, for "il reste" is a sentence."""
_PAIR: Final = 2
_AROUND: Final = " ,;:.("


def several_reading(span: str, conv: Convention) -> str | None:
    """A canonical form for a remainder, a range, an interval, a tuple, or a list or set of solutions."""
    if len(span) > MAX_CHARS:
        return None
    if _RATIO.fullmatch(span):
        return span.replace(" ", "")
    found = _plus_minus(span, conv) or _complex(span) or bracketed_reading(span, conv)
    return found or _enumerated(span, conv)


def _plus_minus(span: str, conv: Convention) -> str | None:
    match = _PLUS_MINUS.fullmatch(span)
    if match is None:
        return None
    parts = parts_of(match[1], conv)
    if not parts or len(parts.numbers) != 1 or parts.before.strip() or not _is_unit(parts.behind[0]):
        return None
    value = abs(parts.numbers[0].values[0])
    return _listed({"": [-value, value]})


def _complex(span: str) -> str | None:
    match = _COMPLEX.fullmatch(span.replace("−", "-").strip())
    if match is None:
        return None
    real = (match["real"] or match["second"] or "0").replace(" ", "")
    imaginary = (match["imaginary"] or match["first"] or "").replace(" ", "")
    if imaginary in {"", "+", "-"}:
        imaginary += "1"
    try:
        real, imaginary = number_key(Fraction(real)), number_key(Fraction(imaginary))
    except ValueError:
        return None
    if real == "0":
        return f"{imaginary}i"
    plus = "" if imaginary.startswith("-") else "+"
    return f"{real}{plus}{imaginary}i"


def _enumerated(span: str, conv: Convention) -> str | None:
    parts = parts_of(_spaced(span, conv), conv)
    if parts is None or len(parts.numbers) < _PAIR:
        return None
    two = _two(parts) if len(parts.numbers) == _PAIR else None
    return two or _list(parts)


def _spaced(span: str, conv: Convention) -> str:
    """`1,2,3` with spaces, so that no comma groups or divides digits; `3-5` so that 5 has no sign."""
    if _COMMAS.fullmatch(span) and not readings(span, conv):
        return span.replace(",", ", ")
    return _DASH.sub(" ~ ", _SHORT_REMAINDER.sub(" r ", span))


def _two(parts: Parts) -> str | None:
    """Quotient and remainder, or the ends of a range."""
    first, second = (number_key(n.values[0]) for n in parts.numbers)
    before = without_about(parts.before)
    between = _connectives(parts.behind[0])
    is_from = before in words("between", "from")
    if not _is_unit(parts.behind[1].replace(")", "")) or not (is_from or before == ""):
        return None

    if before == "" and (between & words("between", "remainder") or _says_remainder(parts.behind[0])):
        return f"{first} r {second}"
    joins_range = bool(between & words("between", "range"))
    if joins_range or (is_from and between & words("between", "and")):
        return f"{first}-{second}"
    return None


def _says_remainder(behind: str) -> bool:
    """Whether "and", an article or a copula around a word for the remainder is all that stands between two numbers."""
    around = words("between", "and") | words("between", "copula") | _ARTICLES
    tokens = behind.strip(_AROUND).split()
    while tokens and tokens[0] in around:
        tokens = tokens[1:]
    while tokens and tokens[-1] in around:
        tokens = tokens[:-1]
    return " ".join(tokens) in words("between", "remainder")


def _connectives(behind: str) -> set[str]:
    """What may join a number to the next one: all that is between, or what stands behind a unit."""
    unit = unit_at_start(behind)
    found = {behind.strip(_AROUND)}
    if unit:
        _, end = unit
        found.add(behind[end:].strip(_AROUND))
    return found


def _list(parts: Parts) -> str | None:
    """`3, 5`, `x = 3 or x = 5`, `x = 3, y = 5`: sorted within a label, for order says nothing."""
    values: dict[str, list[Fraction]] = defaultdict(list)
    texts = [parts.before, *parts.behind]
    for i, number in enumerate(parts.numbers):
        connective, label = _connective_and_label(texts[i])
        is_joined = bool(texts[i].strip()) and is_connective(connective)
        begins = i == 0 and without_about(connective) == ""
        if not (begins or (i > 0 and is_joined)):
            return None
        values[label].append(number.values[0])
    if not _is_unit(texts[-1]):
        return None

    labels = [label for label in values if label]
    shared = [v for v in parts.numbers[0].values if all(v in n.values for n in parts.numbers)]
    if shared and not labels:  # 3/8, or 37.5 %
        return number_key(shared[0])
    if len(labels) == 1:  # x = 3 or 5
        return _listed({"": [v for found in values.values() for v in found]})
    return None if labels and "" in values else _listed(values)


def _connective_and_label(text: str) -> tuple[str, str]:
    """`or` and `x` of `or x =`."""
    text = text.strip()
    label = _LABEL.search(text)
    if label is None:
        return text, ""
    return text[: label.start()], label[0].rstrip("= ").strip()


def _listed(values: Mapping[str, Sequence[Fraction]]) -> str:
    found = [(label, v) for label in sorted(values) for v in sorted(set(values[label]))]
    return ",".join(f"{label}={number_key(v)}".removeprefix("=") for label, v in found)


def _is_unit(text: str) -> bool:
    """Whether `text` is at most a unit behind the last number."""
    unit = unit_at_start(text)
    if unit and is_tail(text[unit[1] :]):
        return True
    return is_tail(text) or _ONE_WORD.fullmatch(text) is not None
