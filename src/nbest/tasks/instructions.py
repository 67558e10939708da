"""How questions are put: text files, one per kind and language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from nbest.errors import InputError
from nbest.types import Message, Prompt

TEMPLATES = resources.files("nbest.tasks") / "templates"
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")


def languages_of(kind: str) -> list[str]:
    """Languages that have a template of this kind, sorted."""
    return sorted(
        f.name.removesuffix(".txt") for f in (TEMPLATES / kind).iterdir() if f.name.endswith(".txt")
    )


@cache
def template(kind: str, language: str) -> str:
    """The template in `language`. Raises `InputError` where there is none: another language's would change the task."""
    file = TEMPLATES / kind / f"{language}.txt"
    if not file.is_file():
        raise InputError(
            f"no {kind!r} template in {language!r}: there are {', '.join(languages_of(kind))}; give one with  template="
        )
    return file.read_text(encoding="utf-8").strip()


@cache
def own_template(path: str) -> str:
    """A user's template file. Raises `InputError` where it has no {{question}}."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as e:
        raise InputError(f"{path}: {e.strerror} (template)") from None
    if "question" not in _PLACEHOLDER.findall(text):
        raise InputError(f"{path}: a template has {{{{question}}}} where the question goes")
    return text


def template_or(own: str | None, kind: str, language: str) -> str:
    """The user's template file `own`, where one is named, else ours. Raises `InputError`."""
    if own:
        return own_template(own)
    return template(kind, language)


def filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with placeholders replaced in one pass. Raises `InputError` for one that is not known."""
    unknown = set(_PLACEHOLDER.findall(text)) - values.keys()
    if unknown:
        raise InputError(f"unknown placeholder {min(unknown)!r}; known: {', '.join(sorted(values))}")
    return _PLACEHOLDER.sub(lambda m: values[m[1]], text)


def prompt_of(id_: str, text: str, *, language: str | None, task: str) -> Prompt:
    """One user turn."""
    return Prompt(id=id_, messages=(Message(role="user", content=text),), language=language, task=task)
