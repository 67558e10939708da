"""What `answer_words.toml` says, ready for use: one `Convention` per language, made when first asked for."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import regex

from nbest.text.language_codes import primary_subtag
from nbest.text.normalise import folded, normalised
from nbest.text.spelling import text_key

_CONNECTIVE_CHARS = 40


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Convention:
    """How one language writes answers; of several languages at once where it is not known. One object a language."""

    code: str | None
    """ISO 639-1, or None where the language is not known."""
    decimals: str
    """The decimal marks in use, likeliest first; empty where the language is not known."""
    has_slash_decimals: bool
    """Whether `3/14` may be 3.14, as in Persian."""
    is_right_to_left: bool
    """Whether a minus may stand behind its number."""
    markers: tuple[str, ...]
    """Folded words for "answer", longer ones first."""
    opening_markers: tuple[str, ...]
    """Those that mark an answer at the start of a line only."""
    weak_markers: tuple[str, ...]
    """Those that mark an answer in the last paragraph only."""
    marker_starts: frozenset[str]
    """The first two characters of all of these."""
    choosing: tuple[str, ...]
    """Words that stand before the letter of a choice."""
    checking: regex.Pattern[str]
    """How a paragraph begins that checks an answer; folded."""
    check_words: tuple[str, ...]
    """The words for that; folded."""
    check_words_by_start: Mapping[str, tuple[str, ...]]
    """Their first two characters → these words."""
    checks_inside: regex.Pattern[str]
    """The same words anywhere."""
    correcting: regex.Pattern[str]
    """How a sentence begins that takes an answer back; folded."""
    given: regex.Pattern[str]
    """A word before a number, at the end, that makes it no answer: "for" in "18 dollars for 9 eggs"; folded."""
    copulas: regex.Pattern[str]
    """What stands between the subject of a sentence and its predicate, at the start; folded."""
    ends_with_copula: regex.Pattern[str]
    """A copula at the end of a sentence, in languages that put it there."""
    joint: regex.Pattern[str]
    """What stands between such a word and the answer."""
    tails: frozenset[str]
    verdicts: Mapping[str, str]
    """Word, in one spelling (`text_key`) → "yes" or "no"."""
    options: regex.Pattern[str]
    """A word such as "option" at the start."""
    minus: regex.Pattern[str]
    percent: regex.Pattern[str]
    """A word for "%" at the start."""
    scales: Mapping[str, tuple[int, ...]]
    """Folded word → what it may multiply by: a German Billion is no English billion."""
    scale: regex.Pattern[str]
    """A word that multiplies, at the start."""
    around: frozenset[str]
    """Words that stand before or behind a number and change it: of its sign, of "%", that multiply; folded."""


@cache
def _data() -> Mapping[str, Any]:
    text = files("nbest.text").joinpath("answer_words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def languages() -> tuple[str, ...]:
    """The codes of the languages in the table."""
    return tuple(code for code, table in _data().items() if "decimal" in table)


def convention(language: str | None) -> Convention:
    """That of `language` (any BCP 47 tag) and English; of every language for None or an unknown one."""
    return _convention(convention_code(language))


def convention_code(language: str | None) -> str | None:
    """The code in the table of `language` (any BCP 47 tag); None for one that is not there."""
    code = primary_subtag(language)
    return code if code in languages() else None


@cache
def _convention(known: str | None) -> Convention:
    codes = [known, "en"] if known else ["en", *languages()]
    tables: list[Mapping[str, Any]] = [_data()[c] for c in dict.fromkeys(codes)]
    with_answers = list(tables)
    if not known:
        with_answers.append(_data()["elsewhere"])
    scales: dict[str, tuple[int, ...]] = {}
    for word, value in ((folded(w), int(v)) for t in tables for w, v in t["scale"].items()):
        if known:  # what the language itself says about a word holds against English
            scales.setdefault(word, (value,))
        else:
            scales[word] = tuple(dict.fromkeys((*scales.get(word, ()), value)))
    return Convention(
        code=known,
        decimals=tables[0]["decimal"] if known else "",
        has_slash_decimals=known == "fa",
        is_right_to_left=known in {None, "ar", "fa", "he"},
        markers=_longest_first(_words(with_answers, "answer")),
        opening_markers=_longest_first(_words(tables, "opening")),
        weak_markers=_longest_first(_words(tables, "weak")),
        marker_starts=frozenset(
            w[:2] for field in ("answer", "opening", "weak") for w in _words(with_answers, field)
        ),
        choosing=_longest_first(_words(tables, "choose")),
        checking=regex.compile(rf"[\W\d]{{0,12}}(?:{_any_of(_words(tables, 'check'))})"),
        check_words=tuple(_words(tables, "check")),
        check_words_by_start=_by_start(_words(tables, "check")),
        checks_inside=regex.compile(_any_of(_words(tables, "check"))),
        correcting=regex.compile(
            rf"(?:[.!?…\n:)\]]\s*|[。！？।؟*])[\s*_\"']*(?:{_any_of(_words(tables, 'correction'))})"
        ),
        given=_trailing(_words(tables, "given")),
        copulas=_copulas(_words(tables, "is"), has_dash=known in {None, "ru", "uk"}),
        ends_with_copula=regex.compile(rf"\s?(?:{_any_of(_words(with_answers, 'tail'))})[\s.。।]*$"),
        joint=_joint(_words(with_answers, "is")),
        tails=frozenset(_words(with_answers, "tail")),
        verdicts={text_key(w): v for v in ("no", "yes") for w in _words(tables, v)},
        options=_leading(_words(tables, "option")),
        minus=_leading(_words(tables, "minus")),
        percent=_leading(_words(tables, "percent")),
        scales=scales,
        scale=_leading(scales),
        around=frozenset(w for field in ("minus", "percent", "scale") for w in _words(tables, field)),
    )


@cache
def phrase_words(field: str) -> tuple[str, ...]:
    """The words of a list of `phrases`, case-folded."""
    return tuple(map(folded, _data()["phrases"][field]))


@cache
def lookalikes() -> Mapping[str, str]:
    """Upper-case letter of another script → the choice that its Latin twin stands for: Cyrillic В → "(B)"."""
    return {letter: f"({twin})" for letter, twin in _data()["lookalikes"].items()}


@cache
def choice_readings() -> Mapping[str, tuple[str, ...]]:
    """Upper-case letter → the choices "(A)", "(B)", … that it may stand for, likeliest first."""
    readings: dict[str, dict[str, None]] = {}
    for series in _data()["choices"].values():
        for letter, name in zip(series, "ABCDEFGHIJ", strict=False):
            readings.setdefault(normalised(letter), {})[f"({name})"] = None
    for letter, twin in _data()["lookalikes"].items():
        readings.setdefault(letter, {})[f"({twin})"] = None
    return {letter: tuple(names) for letter, names in readings.items()}


@cache
def currency_words() -> regex.Pattern[str]:
    """A currency's code or abbreviation at the start, such as "Rs." or "US$"."""
    return _leading(folded(w) for w in _data()["currency"]["before"])


def _words(tables: Iterable[Mapping[str, Any]], field: str) -> dict[str, None]:
    words = dict.fromkeys(folded(w) for t in tables for w in t.get(field, ()))
    return words | dict.fromkeys(w.replace("ı", "i") for w in words)  # what Turkish capitals fold to


def _by_start(words: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        found[word[:2]] = (*found.get(word[:2], ()), word)
    return found


def _longest_first(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(words, key=lambda w: (-len(w), w)))


def _copulas(words: Iterable[str], *, has_dash: bool) -> regex.Pattern[str]:
    spaced = [w for w in words if _SPACED.search(w)]
    unspaced = [w for w in words if regex.search(r"\p{Thai}$", w)]
    dash = r"|\s[—–]\s" if has_dash else ""
    return regex.compile(rf"(?:^|\s)(?:{_any_of(spaced)})\s|(?:{_any_of(unspaced)}){dash}")


def _trailing(words: Iterable[str]) -> regex.Pattern[str]:
    """Any of `words` with at most one other word behind it, at the end."""
    spaced = [w for w in words if _SPACED.search(w)]
    unspaced = [w for w in words if not _SPACED.search(w)]
    return regex.compile(
        rf"(?:(?:{_any_of(spaced)})[\s\p{{Sc}}*(]*(?:[\p{{L}}\p{{M}}’']+[\s\p{{Sc}}*(]+)?|(?:{_any_of(unspaced)})[^0-9.,。，]{{0,8}})$"
    )


def _leading(words: Iterable[str]) -> regex.Pattern[str]:
    """Any of `words` at the start, whole where its script puts spaces between words."""
    return regex.compile(rf"\s*(?:{_any_of(words)})", regex.IGNORECASE)


def _any_of(words: Iterable[str]) -> str:
    """Any of `words`, and no part of a longer one; Chinese, Japanese, Thai and others put no space between words.

    What stands around a word is said once for all words of its kind: a pattern compiles many times faster so.
    """
    longest_first = sorted(set(words), key=lambda w: (-len(w), w))
    spaced = [w for w in longest_first if _SPACED.search(w)]
    hangul = [w for w in longest_first if _HANGUL.search(w)]
    others = [w for w in longest_first if w not in {*spaced, *hangul}]
    kinds = (
        (others, "", ""),  # "Rs." before "Rs"
        (spaced, r"(?<![\p{Lu}\p{Ll}])", r"(?![\p{L}\p{M}])"),
        (hangul, "", rf"(?:(?=[{_AFTER_HANGUL}])|(?!\p{{Hangul}}))"),
    )
    patterns = [
        f"{before}(?:{'|'.join(map(regex.escape, kind))}){after}" for kind, before, after in kinds if kind
    ]
    return "|".join(patterns) or r"(?!)"


_SPACED = regex.compile(
    r"[\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}\p{Telugu}]\p{M}*$"
)
_HANGUL = regex.compile(r"\p{Hangul}$")
_AFTER_HANGUL = "원개명달유엔위번년킬미그톤대권장이을를은입의"


def _joint(words: Iterable[str]) -> regex.Pattern[str]:
    """`: `, ` is: `, ` (in dollars) = `, or only space before a digit; linear, as each part is bounded."""
    join, marks = rf"(?:{_any_of(words)})", r"[\s*_`\"”’»)\]]{0,8}"
    colon = r"(?:[:=：→﹕—]|[-=]+>)"
    gap = rf"[^\n:=.!?。！？।]{{0,{_CONNECTIVE_CHARS}}}?"
    pattern = (
        rf"{marks}(?:\([^()\n]{{0,{_CONNECTIVE_CHARS}}}\){marks})?"
        rf"(?:{colon}|-\s|{join}{marks}{colon}?|(?=[0-9\p{{Sc}}\\-])|{gap}{colon}"
        rf"|{gap}{join}{colon}?(?=[^\n]{{0,200}}[0-9]))"
    )
    return regex.compile(pattern, regex.IGNORECASE)
