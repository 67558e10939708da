"""What judges and fusors are shown: readable text files, one per method and language.

`{{name}}` is a placeholder. A line `--- repair ---` begins the turn that follows a reply without a
verdict. Everything is filled in one pass, so a candidate that holds placeholders or braces stays text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from nbest.context import Context
from nbest.errors import InputError
from nbest.text.language_codes import primary_subtag
from nbest.text.language_tags import closest_tag
from nbest.types import Prompt

TemplateLanguage = Literal["prompt", "en"]
"""The language of the instructions: the prompt's, or English whatever the prompt's is."""

PLACEHOLDERS: Final = frozenset({"prompt", "candidates", "count", "tag", "language", "yes", "no"})
_NEEDED = ("prompt", "candidates")
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")
_REPAIR = re.compile(r"^--- repair ---[^\S\n]*\n", re.MULTILINE)
_DATA = resources.files("nbest.judging") / "templates_by_language"


class Template(NamedTuple):
    """The turn that asks, and the one that asks again for the verdict alone."""

    ask: str
    repair: str
    language: str
    """The language that the two are written in."""


class LanguageWords(msgspec.Struct, frozen=True):
    """A language's own name, and its words for yes and no."""

    name: str
    yes: tuple[str, ...]
    no: tuple[str, ...]


def template_for(
    name: str, prompt: Prompt, ctx: Context, *, language: TemplateLanguage, path: str | None
) -> Template:
    """The template of a method: the user's from `path`, else the one that ships.

    `path` is a file, or a directory that is searched for `<language>/<name>.txt` and `<name>.txt`; for
    `pt-BR` the language is `pt-BR`, else `pt`.
    English stands in, with a note, where the prompt's language has no template. Raises `InputError`
    where `path` does not exist or its template has unknown or lacks needed placeholders.
    """
    tag = "en"
    if language == "prompt" and prompt.language:
        tag = prompt.language
    wanted = primary_subtag(tag)

    if path is not None:
        own = _own_file(Path(path), name, tag)
        if own is not None:
            return _read(str(own), wanted)
    shipped = _shipped(name, wanted)
    if shipped is not None:
        return shipped
    english = _shipped(name, "en")
    if english is None:
        raise InputError(f"no template is called {name!r}")
    ctx.note(f"no {name} template in {wanted!r}: the English one was used")
    return english


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with every placeholder replaced; what is put in is never looked at again."""
    return _PLACEHOLDER.sub(lambda m: values[m[1]], text)


def language_name(language: str | None) -> str:
    """` (Deutsch, de)`, to stand behind "the language that the answer should be in"; "" if unknown."""
    if not language:
        return ""
    known = language_words().get(primary_subtag(language))
    if known is None:
        return f" ({language})"
    return f" ({known.name}, {language})"


@cache
def language_words() -> Mapping[str, LanguageWords]:
    """By code."""
    table = tomllib.loads((resources.files("nbest.text") / "language_names.toml").read_text(encoding="utf-8"))
    return msgspec.convert(table, dict[str, LanguageWords])


def _own_file(path: Path, name: str, language: str) -> Path | None:
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: no such file or directory (templates of {name})")

    file_by_language = {file.parent.name: file for file in path.glob(f"*/{name}.txt")}
    closest = closest_tag(language, file_by_language)
    if closest is not None:
        return file_by_language[closest]
    general = path / f"{name}.txt"
    return general if general.is_file() else None


@lru_cache(maxsize=256)
def _shipped(name: str, language: str) -> Template | None:
    file = _DATA / language / f"{name}.txt"
    if not file.is_file():
        return None
    return _parsed(file.read_text(encoding="utf-8"), str(file), language)


@cache
def _read(path: str, language: str) -> Template:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"{path}: {e} (a template)") from None
    return _parsed(text, path, language)


def _parsed(text: str, where: str, language: str) -> Template:
    used = set(_PLACEHOLDER.findall(text))
    unknown = used - PLACEHOLDERS
    if unknown:
        raise InputError(
            f"{where}: unknown placeholder {{{{{min(unknown)}}}}}; known: {', '.join(sorted(PLACEHOLDERS))}"
        )
    missing = [p for p in _NEEDED if p not in used]
    if missing:
        raise InputError(f"{where}: the template does not use {{{{{missing[0]}}}}}")
    ask, *repair = _REPAIR.split(text, maxsplit=1)
    return Template(ask.strip(), "".join(repair).strip(), language)
