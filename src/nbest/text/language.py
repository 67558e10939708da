"""Which language a text is in.

Language identification is `py3langid`, kept to the languages in play. It never abstains, not even on `42`
or a table rule, so texts of few words are left undecided here. Another identifier, such as fastText's
`lid.176.bin`, fits wherever an `Identifier` is taken.
"""

from __future__ import annotations

import copy
import importlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final

from nbest.text.language_codes import primary_subtag
from nbest.text.scripts import is_written_in, main_script_of, num_words, sample_of, scripts

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
MIN_WORDS: Final = 5
"""Texts of fewer words are undecided (Marchisio et al. 2024 drop such lines)."""
MIN_CONFIDENCE: Final = 0.5
_MAX_ALIKE: Final = 3
"""Languages of one script that a few words tell apart."""


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
    another script ("在 Python 中使用 list") are not read; of a long text, only its beginning and its end are
    (`scripts.MAX_PROSE` characters).
    """
    prose = sample_of(text)
    num = num_words(prose)
    if num < min_words:
        return None
    return _identified(prose, num, languages, min_confidence, identifier)


def _identified(
    prose: str, num: int, languages: Iterable[str], min_confidence: float, identifier: Identifier | None
) -> tuple[str, float] | None:
    """`identify` for prose of `num` words."""
    codes = _sorted(tuple(languages))
    if not codes:
        return None

    read = main_script_of(prose)
    if identifier is not None:
        found = identifier(read, codes)
    elif num < MIN_WORDS:  # so few tell no neighbours apart
        found = _py3langid(read, codes)
    else:
        found = _unless_other(read, codes)
    if found is None or found[1] < min_confidence:
        return None
    return found


def likely_language(text: str, languages: Sequence[str] = LANGUAGES) -> str | None:
    """The language that a text seems to be in, for people and counts: of short ones too, where the script says it.

    As `identify`; where that is undecided, among the languages that are written in the text's scripts, if
    these are three at most (Thai, Hindi; Arabic or Persian; Chinese, Japanese or Korean). Latin letters count in Latin texts only.
    """
    found = identify(text, languages)
    if found:
        return found[0]
    written = scripts(main_script_of(sample_of(text))).keys()
    written = (written - {"Latin"}) or written
    fitting = [c for c in languages if written and written <= SCRIPTS_BY_LANGUAGE.get(c, frozenset())]
    if len(fitting) > _MAX_ALIKE:
        return None
    found = identify(text, fitting, min_words=0)
    if found is None:
        return None
    return found[0]


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
    prose = sample_of(text)
    num = num_words(prose)
    if num < min_words:
        return None
    written_in = SCRIPTS_BY_LANGUAGE.get(code)
    if written_in and not is_written_in(prose, written_in):
        return False
    if identifier is None and code not in _known():
        return None
    found = _identified(prose, num, (*languages, code), MIN_CONFIDENCE, identifier)
    if found is None:
        return None
    return found[0] == code


@lru_cache(maxsize=256)
def _sorted(languages: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(languages)))


def _unless_other(text: str, languages: tuple[str, ...]) -> tuple[str, float] | None:
    """As `_py3langid`; None for a text rather in a language that is confused with these, and none of them."""
    wanted, model = _beside_others(languages)
    ranked: list[tuple[str, float]] = model.rank(text)
    inside = [(code, p) for code, p in ranked if code in wanted]
    share = sum(p for _, p in inside)
    if share < 1 - _MIN_OTHER:
        return None
    likeliest, probability = inside[0]
    return likeliest, probability / share


@lru_cache(maxsize=256)
def _beside_others(languages: tuple[str, ...]) -> tuple[frozenset[str], Any]:
    """`languages` as a set, and the model for them and those that are confused with them."""
    wanted = frozenset(languages)
    return wanted, _restricted(tuple(sorted((_OTHERS | wanted) & _known())))


def _py3langid(text: str, languages: Sequence[str]) -> tuple[str, float]:
    known = tuple(c for c in languages if c in _known())
    if not known:
        return "und", 0.0
    return _restricted(known).classify(text)


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
