"""Prompts and pools read from JSON lines. Each mistake is named with its file and line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec

from nbest.errors import InputError
from nbest.text.language_codes import check_language
from nbest.types import (
    Candidate,
    Finish,
    Json,
    Logprobs,
    Message,
    Prompt,
    SamplingParams,
    Score,
    Spent,
    ToolCall,
    Usage,
)

_CONTENT_KEYS = {"content", "parts", "fields"}
_SHOWN = 40
"""Characters of a wrong value in a message."""
_POOL = 'a pool is  {"prompt": …, "candidates": [{"text": …}]}'
_PROMPT_KEYS = {"id", "prompt", "messages", "language", "task"}
_CANDIDATE_KEYS = {
    "id",
    "text",
    "finish",
    "params",
    "engine",
    "usage",
    "logprobs",
    "parents",
    "language",
    "error",
    "stopped_by",
    "tool_calls",
    "reasoning",
}


class Item(NamedTuple):
    """A prompt, and the other columns of its row (answer, reference, …), which strategies never see."""

    prompt: Prompt
    gold: Mapping[str, Json]


class Pool(NamedTuple):
    """A prompt with candidates that were drawn for it before."""

    prompt: Prompt
    gold: Mapping[str, Json]
    candidates: tuple[Candidate, ...]
    usage: Mapping[str, Usage] = {}
    """All that the recorded run spent on the prompt, by role; empty where only the candidates say it."""
    spent: tuple[Spent, ...] = ()
    """The same by role and engine, where the record says it."""
    scores: Mapping[str, Mapping[int, Score]] = {}
    """What scored the candidates, as in `Outcome`."""


def read_prompts(path: str) -> list[Item]:
    """Rows `{prompt | messages, id?, language?, task?, …}`; `-` reads standard input.

    Without `id` the line number is the id. Raises `InputError` for the first row that cannot be used.
    """
    items: list[Item] = []
    seen: dict[str, int] = {}
    for number, row in _rows(path):
        where = f"{path}, line {number}"
        item = item_of(row, where, default_id=str(number))
        _check_new(item.prompt.id, number, seen, where)
        items.append(item)
    if not items:
        raise InputError(
            f'{path} holds no prompt: write one JSON object per line, such as  {{"prompt": "…"}}'
        )
    return items


def read_pools(path: str) -> Iterator[Pool]:
    """Pools of a run directory, or of rows `{prompt | messages, candidates: [{text, …} | "text"], …}`.

    What a candidate carries beyond our fields stays in its `meta`. Raises `InputError`.
    """
    if Path(path).is_dir():
        from nbest.records import read_outcomes  # noqa: PLC0415 (records reads pools' Item)

        yield from (
            Pool(o.prompt, o.gold, tuple(o.candidates), o.usage, o.spent, o.scores)
            for o in read_outcomes(path)
        )
        return
    seen: dict[str, int] = {}
    number = 0
    for number, row in _rows(path):
        where = f"{path}, line {number}"
        raw = row.pop("candidates", None)
        if not isinstance(raw, list):
            raise InputError(f'{where}: no "candidates" list; {_POOL}')
        item = item_of(row, where, default_id=str(number), is_asked=False)
        _check_new(item.prompt.id, number, seen, where)
        candidates = tuple(_candidate(c, i, where) for i, c in enumerate(raw))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        yield Pool(item.prompt, item.gold, candidates)
    if not number:
        raise InputError(f"{path} holds no pool: {_POOL}")


class PoolsAt:
    """The pools of `read_pools`, read anew each time they are gone through: none of their texts is kept."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Pool]:
        return read_pools(self._path)


def single(prompt: str | Prompt | Iterable[Message], *, language: str | None = None) -> Prompt:
    """A prompt from a question or a conversation. Raises `InputError` for a `language` that is no language code."""
    if isinstance(prompt, Prompt):
        return prompt
    if isinstance(prompt, str):
        prompt = [Message(role="user", content=prompt)]
    messages = tuple(prompt)
    _check_language(language, "language")
    return Prompt(id="prompt", messages=messages, language=language)


def _check_language(language: str | None, where: str) -> None:
    try:
        if language is not None:
            check_language(language)
    except ValueError as e:
        raise InputError(f"{where}: {e}") from None


def _check_new(id_: str, number: int, seen: dict[str, int], where: str) -> None:
    first = seen.get(id_)
    if first is not None:
        raise InputError(f"{where}: id {id_!r} already stands in line {first}; ids must be unique")
    seen[id_] = number


def _rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = _opened(path)
    try:
        for number, line in enumerate(lines, 1):
            if line.strip(b" \t\r\n\xef\xbb\xbf"):
                yield number, _object(line, f"{path}, line {number}")
    finally:
        if path != "-":
            lines.close()


def _opened(path: str) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}") from None


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise InputError(
            f'{where}: not valid JSON ({e}); write one object a line, in UTF-8, such as  {{"prompt": "…"}}'
        ) from None
    if not isinstance(row, dict):
        raise InputError(f'{where}: not a JSON object; write  {{"prompt": "…"}}')
    return row  # pyright: ignore[reportUnknownVariableType]


def item_of(row: Mapping[str, Any], where: str, *, default_id: str, is_asked: bool = True) -> Item:
    """A row's prompt, and its other columns. Raises `InputError`, with `where`, for one that cannot be used.

    With `is_asked` the prompt must not be empty.
    """
    messages = _messages_of(row, where)
    id_ = row.get("id", default_id)
    language = row.get("language")
    if language == "":
        language = None
    fields = {
        "id": str(id_) if type(id_) is int else id_,
        "messages": messages,
        "language": language,
        "task": row.get("task"),
    }
    prompt = _convert(fields, Prompt, where)
    _check_language(prompt.language, where)
    if not prompt.messages:
        raise InputError(f'{where}: "messages" is empty')
    for i, message in enumerate(messages):
        if not message.keys() & _CONTENT_KEYS:
            raise InputError(f"{where}: messages[{i}] is missing required field `content`")
    if is_asked and not any(m.content.strip() or m.parts or m.fields for m in prompt.messages):
        raise InputError(f"{where}: the prompt is empty")
    return Item(prompt, {k: v for k, v in row.items() if k not in _PROMPT_KEYS})


def _messages_of(row: Mapping[str, Any], where: str) -> Any:
    """The conversation of a row; a "prompt" is its one turn."""
    text, messages = row.get("prompt"), row.get("messages")
    if text is None and messages is None:
        raise InputError(f'{where}: needs "prompt" (text) or "messages" (a conversation), has neither')
    if text is not None and messages is not None:
        raise InputError(f'{where}: needs "prompt" (text) or "messages" (a conversation), has both')
    if messages is not None:
        return messages

    if not isinstance(text, str):
        shown = msgspec.json.encode(text).decode()[:_SHOWN]
        raise InputError(f'{where}: "prompt" is no text but {shown}')
    return [{"role": "user", "content": text}]


def _candidate(raw: Any, i: int, where: str) -> Candidate:
    """Candidate i of a pool; `id` is its place, and what is not of our form stays in `meta`."""
    where = f"{where}, candidate {i}"
    row: Any = raw
    if isinstance(raw, str):
        row = {"text": raw}
    if not isinstance(row, dict):
        raise InputError(f'{where}: neither a text nor an object with "text"')
    row = cast("dict[str, Any]", row)

    fields = {k: row[k] for k in _CANDIDATE_KEYS & row.keys() if row[k] is not None}
    # Fields of the same name in another form, such as another library's usage, are kept, but as meta.
    foreign_keys = [k for k, type_ in _OUR_TYPES.items() if k in fields and not _is(fields[k], type_)]
    foreign = {k: fields.pop(k) for k in foreign_keys}
    fields["id"] = i

    meta = {k: v for k, v in row.items() if k not in {*_CANDIDATE_KEYS, "meta"}} | foreign
    given = row.get("meta")
    if isinstance(given, dict):
        meta = {**cast("dict[str, Any]", given), **meta}
    elif given is not None:
        meta["meta"] = given
    if "text" not in fields and "error" in fields:
        fields["text"] = ""
    return _convert({**fields, "meta": meta}, Candidate, where)


_OUR_TYPES: Mapping[str, Any] = {
    "params": SamplingParams,
    "usage": Usage,
    "logprobs": Logprobs,
    "finish": Finish,
    "engine": str,
    "language": str,
    "parents": tuple[int, ...],
    "stopped_by": str,
    "tool_calls": tuple[ToolCall, ...],
    "reasoning": str,
}


def _is(value: Any, type_: Any) -> bool:
    """Whether a value is of our form; an object that has none of our names is another library's."""
    names: tuple[str, ...] = getattr(type_, "__struct_fields__", ())
    if names and value and isinstance(value, dict) and not any(name in value for name in names):
        return False
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError:
        return False
    return True


def _convert(value: Any, type_: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as e:
        problem = str(e)
        raise InputError(f"{where}: {problem[0].lower()}{problem[1:]}") from None
