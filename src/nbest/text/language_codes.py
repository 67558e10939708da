"""Codes of languages: which there are, and what people write in their place."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from typing import Final

import regex
from rapidfuzz import process, utils

_TWO_LETTERS: Final = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en"
    " eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv"
    " ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne"
    " ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss"
    " st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
ISO_639_1: Final = frozenset(_TWO_LETTERS.split())
"""Languages without a code of two letters have three: `fil`, `yue`."""

_CODE_LENGTHS: Final = (2, 3)
_LONGEST_TAG: Final = 35
_LEAST_LIKENESS: Final = 75
_TAG = regex.compile(rf"(?=.{{2,{_LONGEST_TAG}}}\Z)[A-Za-z]{{2,3}}(?:[-_][A-Za-z0-9]{{1,8}})*")


def check_language(language: str) -> None:
    """Raises `ValueError` for what is no language code; a script or region may follow one: `zh-Hant`, `pt_BR`.

    A word that is none would be taken for a language that nothing is known of.
    """
    given = language[: _LONGEST_TAG + 1]
    code = primary_subtag(given)
    is_code = code in ISO_639_1 or len(code) == max(_CODE_LENGTHS)
    if _TAG.fullmatch(given) and is_code and code not in _code_by_name():
        return
    meant = _meant(given)
    hint = f"did you mean {meant!r}?" if meant else "write one such as  ar, ja  or  zh-Hant"
    raise ValueError(f"{given!r} is no language code (ISO 639-1): {hint}")


def _meant(given: str) -> str | None:
    """The code of the language that a word names, or nearly names."""
    by_name = _code_by_name()
    code = by_name.get(primary_subtag(given)) or by_name.get(given.strip().lower())
    if code or len(given) <= max(_CODE_LENGTHS):
        return code
    names = [name for name in by_name if len(name) > max(_CODE_LENGTHS)]
    near = process.extractOne(given, names, processor=utils.default_process, score_cutoff=_LEAST_LIKENESS)
    return by_name[near[0]] if near else None


@cache
def _code_by_name() -> Mapping[str, str]:
    """What languages are called, in lower case, and codes that are others' for them."""
    table = tomllib.loads((resources.files("nbest.text") / "language_names.toml").read_text(encoding="utf-8"))
    return {name.lower(): code for code, row in table.items() for name in (row["name"], *row["also"])}


@lru_cache(maxsize=4096)
def primary_subtag(language: str | None) -> str:
    """`zh` of `zh-Hant-TW` and of `zh_TW`; the empty string for None."""
    if not language:
        return ""
    return regex.split(r"[-_]", language, maxsplit=1)[0].lower()
