"""TOML files whose errors name the line that is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from nbest.errors import InputError
from nbest.suggestions import did_you_mean
from nbest.toml_lines import Keys, lines_by_keys

T = TypeVar("T")

_PLACE = re.compile(r" - at `\$(.*)`$")
"""How msgspec's messages end."""
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
"""A part of a place: a field, an index, or `[...]`, which stands for the key of a mapping."""
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
"""How tomllib's messages end."""


class TomlFile:
    """A file as a table. Raises `InputError` where it cannot be read, or is not TOML.

    None is no file: an empty table, whose errors name no place.
    """

    def __init__(self, file: str | None) -> None:
        self.file = file
        self.table: dict[str, Any] = {}
        self._line_by_keys: dict[Keys, int] = {}
        if file is not None:
            self._read(file)

    def _read(self, file: str) -> None:
        text = _text(file)
        try:
            self.table = tomllib.loads(text)
            self._line_by_keys = lines_by_keys(text)
        except tomllib.TOMLDecodeError as e:
            raise _syntax_error(file, text, str(e)) from None
        except RecursionError:
            raise InputError(f"{file}: lists or tables are nested too deeply to be read") from None

    def error(self, keys: Keys, message: str) -> InputError:
        """An error with the file and the line of `keys`, or of the innermost table around them that is there."""
        if self.file is None:
            return InputError(message)
        while keys and keys not in self._line_by_keys:
            keys = keys[:-1]
        if not keys:
            return InputError(f"{self.file}: {message}")
        return InputError(f"{self.file}, line {self._line_by_keys[keys]}: {message}")

    def convert(self, table: Mapping[str, Any], kind: type[T]) -> T:
        """`table`, which is all or a part of this file's, as a `kind`. Raises `InputError`."""
        try:
            return msgspec.convert(table, kind)
        except msgspec.ValidationError as e:
            raise self._wrong_value(str(e), table, kind) from None

    def _wrong_value(self, message: str, table: Mapping[str, Any], kind: type[Any]) -> InputError:
        keys = _place(message, table, kind)
        name = dotted(keys)
        problem = _PLACE.sub("", message)

        unknown = _UNKNOWN.fullmatch(problem)
        if unknown:
            where = ""
            if name:
                where = f" in {name}"
            hint = did_you_mean(unknown[1], _fields(kind, keys))
            return self.error((*keys, unknown[1]), f"unknown key {unknown[1]!r}{where}{hint}")

        problem = problem[0].lower() + problem[1:]
        if name:
            problem = f"{name}: {problem}"
        return self.error(keys, problem)


def dotted(keys: Keys) -> str:
    """Keys as one name, items counted from 1: `serve.keys[2].name`."""
    parts = [f"[{k + 1}]" if isinstance(k, int) else f".{k}" for k in keys]
    return "".join(parts).removeprefix(".")


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")  # Windows' editors write a byte order mark
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise InputError(f"{file}, line {line}: not UTF-8: save the file in that encoding") from None
    except OSError as e:
        raise InputError(f"{file}: {e.strerror}") from None


def _syntax_error(file: str, text: str, message: str) -> InputError:
    """An error of tomllib, which names no line where it is at the document's end."""
    place = _SYNTAX_PLACE.search(message)
    last_line = text.count("\n") + (not text.endswith("\n"))
    line = (place and place[1]) or last_line
    return InputError(f"{file}, line {line}: {_SYNTAX_PLACE.sub('', message)}")


def _place(message: str, table: Mapping[str, Any], kind: type[Any]) -> Keys:
    """The place that msgspec's message names; keys of mappings, which it leaves open, are found by trying."""
    keys: Keys = ()
    place = _PLACE.search(message)
    if place is None:
        return keys
    for field, index in _STEP.findall(place[1]):
        if field:
            keys = (*keys, field)
        elif index.isdigit():
            keys = (*keys, int(index))
        else:
            keys = (*keys, _wrong_key(message, table, kind, keys))
    return keys


def _wrong_key(message: str, table: Mapping[str, Any], kind: type[Any], keys: Keys) -> str:
    """The key of the mapping at `keys` that, alone there, still gets the same message."""
    mapping: Any = table
    for key in keys:
        mapping = mapping[key]
    for name in cast("dict[str, Any]", mapping):
        try:
            msgspec.convert(_with_only(table, keys, name), kind)
        except msgspec.ValidationError as e:
            if str(e) == message:
                return name
    raise AssertionError(message)


def _with_only(value: Any, keys: Keys, name: str) -> Any:
    """A copy in which the mapping at `keys` has one key."""
    if not keys:
        return {name: value[name]}
    copied: Any = copy(value)
    copied[keys[0]] = _with_only(value[keys[0]], keys[1:], name)
    return copied


def _fields(kind: type[Any], keys: Keys) -> list[str]:
    """The names of the fields of the struct at `keys`."""
    found = _container(inspect.type_info(kind))
    for key in keys:
        match found:
            case inspect.StructType(fields=fields):
                inner = next(f.type for f in fields if f.encode_name == key)
            case inspect.DictType(value_type=inner) | inspect.VarTupleType(item_type=inner):
                pass
            case _:
                raise AssertionError(found)
        found = _container(inner)
    assert isinstance(found, inspect.StructType)
    return [f.encode_name for f in found.fields]


def _container(kind: inspect.Type) -> inspect.Type:
    """The type in a union that holds others; other types as they are."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    containers = (inspect.StructType, inspect.DictType, inspect.VarTupleType)
    return next((k for k in kind.types if isinstance(k, containers)), kind)
