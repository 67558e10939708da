"""Which language a text is in, and how often answers are in the language that they should be in.

Language identification is `py3langid`, kept to the languages in play. It never abstains, not even on `42`
or a table rule, so texts of few words are left undecided here. Another identifier, such as fastText's
`lid.176.bin`, fits wherever an `Identifier` is taken.
"""

from __future__ import annotations

import copy
import importlib
import threading
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

import regex
from rapidfuzz import process, utils

Identifier = Callable[[str, Sequence[str]], tuple[str, float]]
"""Text and language codes → the likeliest of them and its probability."""

SCRIPTS_BY_LANGUAGE: Final[Mapping[str, frozenset[str]]] = {
    **{
        code: frozenset({"Latin"})
        for code in ("cs", "de", "en", "es", "fr", "id", "it", "nl", "pl", "pt", "ro", "sw", "tr", "vi")
    },
    "ar": frozenset({"Arabic"}),
    "bn": frozenset({"Bengali"}),
    "el": frozenset({"Greek"}),
    "fa": frozenset({"Arabic"}),
    "he": frozenset({"Hebrew"}),
    "hi": frozenset({"Devanagari"}),
    "ja": frozenset({"Han", "Hiragana", "Katakana"}),
    "ko": frozenset({"Hangul", "Han"}),
    "ru": frozenset({"Cyrillic"}),
    "te": frozenset({"Telugu"}),
    "th": frozenset({"Thai"}),
    "uk": frozenset({"Cyrillic"}),
    "zh": frozenset({"Han"}),
}
"""The languages told apart by default: the 23 of Aya, and Swahili, Thai, Telugu and Bengali."""

LANGUAGES: Final = tuple(sorted(SCRIPTS_BY_LANGUAGE))
_OTHER_CODES: Final = (
    "mr ne sa as ur ps ms jv bg sr mk be kk ky mn tg sk sl hr bs da sv no nn fi et hu is lt lv ca gl eu oc af fy lb"
    " sq az uz tk tt xh zu so yue"
)
_OTHERS: Final = frozenset(_OTHER_CODES.split())
"""Languages outside of these whose texts would be taken for one of them: Marathi for Hindi, Urdu for Persian,
Malay for Indonesian, Bulgarian for Russian. (As the identifier names them.)"""
_MIN_OTHER: Final = 0.8
"""How probable it must be that a text is in one of `_OTHERS` for it to count as unknown."""
_TWO_LETTERS: Final = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en"
    " eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv"
    " ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne"
    " ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss"
    " st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
ISO_639_1: Final = frozenset(_TWO_LETTERS.split())
"""Languages without a code of two letters have three: `fil`, `yue`."""
MIN_WORDS: Final = 5
"""Texts of fewer words are undecided (Marchisio et al. 2024 drop such lines)."""
MIN_CONFIDENCE: Final = 0.5
_GRAPHEMES_PER_WORD = 2
_MIN_FOREIGN_LETTERS = 4
_MAX_ALIKE = 3
"""Languages of one script that a few words tell apart."""

_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*")
_LONGEST_TAG = 35
_TAG = regex.compile(rf"(?=.{{2,{_LONGEST_TAG}}}\Z)[A-Za-z]{{2,3}}(?:[-_][A-Za-z0-9]{{1,8}})*")
_SPACED_WORD = regex.compile(
    r"(?:(?![\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])\p{L}[\p{M}'’]*)+"
)
_NOT_PROSE = regex.compile(
    r"```.{0,20000}?(?:```|\Z)|`[^`\n]{1,200}`|\$\$?[^$\n]{1,300}\$|\\\p{Latin}+|https?://\S+|[\w.+-]{1,64}@[\w.-]{1,64}",
    regex.DOTALL,
)
_LATIN_LOWER_WORD = regex.compile(
    rf"(?<![\p{{L}}\p{{N}}_.\-/])[a-z]{{{_MIN_FOREIGN_LETTERS},}}(?![\p{{L}}\p{{N}}_/])"
)


def identify(
    text: str,
    languages: Iterable[str] = LANGUAGES,
    *,
    min_words: int = MIN_WORDS,
    min_confidence: float = MIN_CONFIDENCE,
    identifier: Identifier | None = None,
) -> tuple[str, float] | None:
    """The language of `text` among `languages` (ISO 639-1), and its probability among these.

    None for fewer than `min_words` words (two characters count as one where a script puts no space between
    words), below `min_confidence`, or where the text is rather in a language that is confused with these
    (Marathi with Hindi) and not among them. Code, formulas, addresses, and Latin words between letters of
    another script ("在 Python 中使用 list") are not read.
    """
    prose = _prose(text)
    codes = tuple(sorted(set(languages)))
    if not codes or num_words(prose) < min_words:
        return None
    code, confidence = (identifier or _py3langid)(_main_script(prose), codes)
    may_be_other = identifier is None and num_words(prose) >= MIN_WORDS  # fewer tell no neighbours apart
    if confidence < min_confidence or (may_be_other and _is_other(_main_script(prose), codes)):
        return None
    return code, confidence


def likely_language(text: str, languages: Sequence[str] = LANGUAGES) -> str | None:
    """The language that a text seems to be in, for people and counts: of short ones too, where the script says it.

    As `identify`; where that is undecided, among the languages that are written in the text's scripts, if
    these are three at most (Thai, Hindi; Arabic or Persian; Chinese, Japanese or Korean). Latin letters count in Latin texts only.
    """
    if found := identify(text, languages):
        return found[0]
    written = scripts(_main_script(_prose(text))).keys()
    written = (written - {"Latin"}) or written
    fitting = [c for c in languages if written and written <= SCRIPTS_BY_LANGUAGE.get(c, frozenset())]
    if len(fitting) > _MAX_ALIKE:
        return None
    found = identify(text, fitting, min_words=0)
    return found[0] if found else None


def is_in_language(
    text: str,
    language: str,
    *,
    languages: Iterable[str] = LANGUAGES,
    min_words: int = MIN_WORDS,
    identifier: Identifier | None = None,
) -> bool | None:
    """Whether `text` is in `language`; None where it cannot be told: short, mixed, or an unknown language.

    A text mostly in a script that the language is not written in fails, whatever the identifier says. Latin
    words in a text of another script are no other language, as long as that script is a quarter of it.
    """
    code = primary_subtag(language)
    prose = _prose(text)
    if num_words(prose) < min_words:
        return None
    written_in = SCRIPTS_BY_LANGUAGE.get(code)
    if written_in and not _is_written_in(prose, written_in):
        return False
    if identifier is None and code not in _known():
        return None
    found = identify(prose, {*languages, code}, min_words=min_words, identifier=identifier)
    return None if found is None else found[0] == code


_LETTERS_OF_A_SIGN: Final[Mapping[str, float]] = {
    "Han": 4.0,
    "Hangul": 2.5,
    **dict.fromkeys(("Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"), 2.0),
}
"""How many letters of an alphabet say what one sign of these says."""
_LATIN_WORD = regex.compile(r"\p{Latin}[\p{Latin}\p{M}\p{N}'’_.-]*")
_MIN_MAIN_SHARE: Final = 0.25


def _is_written_in(prose: str, written_in: frozenset[str]) -> bool:
    shares = _weighed_scripts(prose)
    own = sum(shares.get(s, 0.0) for s in written_in)
    others = sum(share for s, share in shares.items() if s not in written_in and s != "Latin")
    is_mixed_with_latin = "Latin" not in written_in and others < own
    return own >= (_MIN_MAIN_SHARE if is_mixed_with_latin else 1 / 2)


def _weighed_scripts(text: str) -> Mapping[str, float]:
    """`scripts`, a sign for a syllable or a word counted as the letters that it stands for."""
    weighed = {s: share * _LETTERS_OF_A_SIGN.get(s, 1.0) for s, share in scripts(text).items()}
    total = sum(weighed.values())
    return {s: w / total for s, w in weighed.items()}


def _main_script(prose: str) -> str:
    """`prose` without Latin words, where another script is at least `_MIN_MAIN_SHARE` of it."""
    latin = _weighed_scripts(prose).get("Latin", 0.0)
    is_mixed = 0 < latin <= 1 - _MIN_MAIN_SHARE
    return _LATIN_WORD.sub(" ", prose) if is_mixed else prose


def scripts(text: str) -> Mapping[str, float]:
    """Unicode script → share of the letters of `text`, commonest first; empty without letters."""
    counts: Counter[str] = Counter()
    for char, count in Counter(text).items():
        if script := _script(char):
            counts[script] += count
    total = sum(counts.values())
    return {script: n / total for script, n in counts.most_common()}


def num_words(text: str) -> int:
    """Words, or pairs of characters in scripts that put no space between words; digits are none."""
    return len(_SPACED_WORD.findall(text)) + len(_UNSPACED.findall(text)) // _GRAPHEMES_PER_WORD


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRates:
    """Language confusion of answers (Marchisio et al. 2024, arXiv 2406.20052), in shares of 1."""

    line: float | None
    """Share of answers without a line in another language."""
    word: float | None
    """Share of these without a foreign word; None for languages in Latin script."""
    num_judged: int
    """Answers with at least one line long enough to judge."""

    @property
    def both(self) -> float | None:
        """Harmonic mean of the two (the paper's LCPR); the line rate alone where there is no word rate."""
        if self.line is None or self.word is None:
            return self.line
        return 2 * self.line * self.word / (self.line + self.word) if self.line + self.word else 0.0


def pass_rates(
    texts: Iterable[str],
    language: str,
    *,
    languages: Iterable[str] = LANGUAGES,
    identifier: Identifier | None = None,
) -> PassRates:
    """Line-level and word-level pass rate of answers that should be in `language`."""
    codes = tuple(languages)
    judged = [
        (text, verdict)
        for text in texts
        if (verdict := passes_lines(text, language, languages=codes, identifier=identifier)) is not None
    ]
    passed = [text for text, verdict in judged if verdict]
    words = [v for text in passed if (v := passes_words(text, language)) is not None]
    return PassRates(
        line=len(passed) / len(judged) if judged else None,
        word=sum(words) / len(words) if words else None,
        num_judged=len(judged),
    )


def passes_lines(
    text: str,
    language: str,
    *,
    languages: Iterable[str] = LANGUAGES,
    identifier: Identifier | None = None,
) -> bool | None:
    """Whether no line of `text` is in another language; None where no line is long enough to judge."""
    codes = tuple(languages)
    verdicts = [
        is_in_language(line, language, languages=codes, identifier=identifier)
        for line in _prose(text).splitlines()
    ]
    decided = [v for v in verdicts if v is not None]
    return all(decided) if decided else None


def passes_words(text: str, language: str) -> bool | None:
    """Whether `text` has no lower-case Latin word of four letters or more.

    None for a language in Latin script, or one not in `SCRIPTS_BY_LANGUAGE`. Stricter than the paper, which
    looks words up in an English dictionary: names in capitals pass, a lower-case brand does not.
    """
    written_in = SCRIPTS_BY_LANGUAGE.get(primary_subtag(language))
    if written_in is None or "Latin" in written_in:
        return None
    return not _LATIN_LOWER_WORD.search(_prose(text))


def check_language(language: str) -> None:
    """Raises `ValueError` for what is no language code; a script or region may follow one: `zh-Hant`, `pt_BR`.

    A word that is none would be taken for a language that nothing is known of.
    """
    by_name, said = _code_by_name(), language[: _LONGEST_TAG + 1]
    code = primary_subtag(said)
    if _TAG.fullmatch(said) and code not in by_name and (code in ISO_639_1 or len(code) == 3):  # noqa: PLR2004
        return
    meant = by_name.get(code) or by_name.get(said.strip().lower())
    if meant is None and len(said) > 3:  # noqa: PLR2004
        names = [name for name in by_name if len(name) > 3]  # noqa: PLR2004
        near = process.extractOne(said, names, processor=utils.default_process, score_cutoff=75)
        meant = near and by_name[near[0]]
    hint = f"did you mean {meant!r}?" if meant else "write one such as  ar, ja  or  zh-Hant"
    raise ValueError(f"{said!r} is no language code (ISO 639-1): {hint}")


@cache
def _code_by_name() -> Mapping[str, str]:
    """What languages are called, in lower case, and codes that are others' for them."""
    table = tomllib.loads((resources.files("nbest.text") / "language_names.toml").read_text(encoding="utf-8"))
    return {name.lower(): code for code, row in table.items() for name in (row["name"], *row["also"])}


@lru_cache(maxsize=4096)
def primary_subtag(language: str | None) -> str:
    """`zh` of `zh-Hant-TW` and of `zh_TW`; the empty string for None."""
    return regex.split(r"[-_]", language, maxsplit=1)[0].lower() if language else ""


def _prose(text: str) -> str:
    return _NOT_PROSE.sub(" ", text)


_SCRIPT_PATTERNS: Final = {
    name: regex.compile(rf"\p{{Script={name}}}")
    for name in (
        *("Latin", "Han", "Cyrillic", "Arabic", "Devanagari", "Hiragana", "Katakana", "Hangul", "Thai"),
        *("Telugu", "Bengali", "Greek", "Hebrew", "Tamil", "Gujarati", "Gurmukhi", "Kannada", "Malayalam"),
        *("Oriya", "Sinhala", "Lao", "Khmer", "Myanmar", "Tibetan", "Georgian", "Armenian", "Ethiopic"),
        *("Mongolian", "Syriac", "Thaana", "Cherokee", "Tifinagh", "Nko", "Javanese", "Bopomofo", "Yi"),
    )
}


@lru_cache(maxsize=65536)
def _script(char: str) -> str | None:
    """Script of a letter; None for what is no letter, or of no script in particular."""
    if not char.isalpha():
        return None
    return next((name for name, pattern in _SCRIPT_PATTERNS.items() if pattern.match(char)), None)


def _is_other(text: str, languages: Sequence[str]) -> bool:
    """Whether `text` is rather in a language that is confused with one of `languages`, and none of them."""
    known = tuple(sorted((_OTHERS | set(languages)) & _known()))
    inside = sum(p for code, p in _restricted(known).rank(text) if code in languages)
    return inside < 1 - _MIN_OTHER


def _py3langid(text: str, languages: Sequence[str]) -> tuple[str, float]:
    known = tuple(c for c in languages if c in _known())
    return _restricted(known).classify(text) if known else ("und", 0.0)


@cache
def _known() -> frozenset[str]:
    return frozenset(_model().labels)


_loading = threading.Lock()


def _model() -> Any:
    with _loading:  # threads that ask at the same time load it once
        return _loaded()


@cache
def _loaded() -> Any:
    langid: Any = importlib.import_module("py3langid.langid")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=256)
def _restricted(languages: tuple[str, ...]) -> Any:
    """The model for some languages: a copy that shares its tables with the others."""
    model = copy.copy(_model())
    model.set_languages(languages)
    return model
