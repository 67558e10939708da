"""Instructions around the last user turn, one text file per language, with `{prompt}` where the turn goes."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from nbest.errors import InputError
from nbest.text.language_codes import check_language
from nbest.text.language_tags import closest_tag
from nbest.types import Prompt, replace

PLACE = "{prompt}"


def wrapped(prompt: Prompt, template: str) -> Prompt:
    """`prompt` with its last user turn inside `template`; as it is without a user turn."""
    return with_turn(prompt, template.replace(PLACE, prompt.text))


def with_turn(prompt: Prompt, text: str) -> Prompt:
    """`prompt` with `text` for the text of its last user turn, before its images; as it is without a user turn."""
    last = max((i for i, m in enumerate(prompt.messages) if m.role == "user"), default=None)
    if last is None:
        return prompt
    if text == prompt.text:
        return prompt
    others = [p for p in prompt.messages[last].parts if p.get("type") != "text"]
    parts = ()
    if others:
        parts = ({"type": "text", "text": text}, *others)
    turn = replace(prompt.messages[last], content=text, parts=parts)
    return replace(prompt, messages=(*prompt.messages[:last], turn, *prompt.messages[last + 1 :]))


def checked(template: str, where: str) -> str:
    """`template`. Raises `ValueError` where it has no place for the turn: the question would be lost."""
    if PLACE not in template:
        raise ValueError(f"{where} has no {PLACE}: write it where the user's words go")
    return template


@lru_cache(maxsize=4096)
def template(purpose: str, language: str, directory: str | None = None) -> str:
    """The text for `language`: from `directory`, else the one that ships for `purpose`.

    `pt-BR` falls back on `pt`, `zh_TW` on `zh-Hant` and `zh`. Raises `InputError` where there is none, or where it has no `{prompt}`,
    and `ValueError` for what is no language code: files are named by it.
    """
    check_language(language)
    for place in _places(purpose, directory):
        name_by_language = {f.name.removesuffix(".txt"): f.name for f in _text_files(place)}
        closest = closest_tag(language, name_by_language)
        if closest is not None:
            file = place.joinpath(name_by_language[closest])
            try:
                return checked(file.read_text(encoding="utf-8").strip("\n"), f"{file}")
            except ValueError as e:
                raise InputError(str(e)) from None
    raise InputError(
        f"there is no template for language {language!r}; known: {', '.join(languages(purpose))}."
        f" Write {language}.txt with {PLACE} in it, and name its directory:  templates=DIRECTORY"
    )


def languages(purpose: str) -> list[str]:
    """The languages whose template ships, sorted."""
    return sorted(f.name.removesuffix(".txt") for f in _text_files(_shipped(purpose)))


def _places(purpose: str, directory: str | None) -> list[Traversable]:
    """The user's directory before ours."""
    places = [_shipped(purpose)]
    if directory:
        places.insert(0, Path(directory))
    return places


def _shipped(purpose: str) -> Traversable:
    return files("nbest.sampling").joinpath("templates", purpose)


def _text_files(place: Traversable) -> list[Traversable]:
    if not place.is_dir():
        return []
    return [f for f in place.iterdir() if f.name.endswith(".txt")]
