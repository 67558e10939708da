"""TOML files whose faults are told with the line that they stand in."""

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
from nbest.settings.toml_lines import Keys, lines_by_keys
from nbest.suggestions import did_you_mean

T = TypeVar("T")

_PLACE = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class TomlFile:
    """A file's text as a table. Raises `InputError` where it cannot be read or is not TOML."""

    def __init__(self, file: str) -> None:
        self.file = file
        try:
            text = Path(file).read_text(encoding="utf-8-sig")  # Windows' editors write a byte order mark
        except FileNotFoundError:
            raise InputError(f"{file}: no such file (--config)") from None
        except UnicodeDecodeError as e:
            line = e.object[: e.start].count(b"\n") + 1
            raise InputError(f"{file}, line {line}: not UTF-8: save the file in that encoding") from None
        except OSError as e:
            raise InputError(f"{file}: {e.strerror}") from None
        try:
            self.table: dict[str, Any] = tomllib.loads(text)
            self._lines = lines_by_keys(text)
        except tomllib.TOMLDecodeError as e:
            place = _SYNTAX_PLACE.search(str(e))
            line = place[1] if place and place[1] else text.count("\n") + (not text.endswith("\n"))
            raise InputError(f"{file}, line {line}: {_SYNTAX_PLACE.sub('', str(e))}") from None
        except RecursionError:
            raise InputError(f"{file}: lists or tables are nested too deeply to be read") from None

    def error(self, keys: Keys, message: str) -> InputError:
        """An error that names the file and the line of `keys`, or of the table that they would stand in."""
        while keys and keys not in self._lines:
            keys = keys[:-1]
        where = f", line {self._lines[keys]}" if keys else ""
        return InputError(f"{self.file}{where}: {message}")

    def convert(self, table: Mapping[str, Any], kind: type[T]) -> T:
        """`table`, all or a part of this file's, as a `kind`. Raises `InputError`."""
        try:
            return msgspec.convert(table, kind)
        except msgspec.ValidationError as e:
            said, keys = _PLACE.sub("", str(e)), _place(str(e), table, kind)
            name = dotted(keys)
            if unknown := _UNKNOWN.fullmatch(said):
                hint = did_you_mean(unknown[1], _fields(kind, keys))
                where = f" in {name}" if name else ""
                raise self.error((*keys, unknown[1]), f"unknown key {unknown[1]!r}{where}{hint}") from None
            said = said[0].lower() + said[1:]
            raise self.error(keys, f"{name}: {said}" if name else said) from None


def dotted(keys: Keys) -> str:
    """As the file's reader would say it, items counted from 1: `serve.keys[2].name`."""
    return "".join(f"[{k + 1}]" if isinstance(k, int) else f".{k}" for k in keys).removeprefix(".")


def _place(message: str, table: Mapping[str, Any], kind: type[Any]) -> Keys:
    """The place that msgspec's message tells of; the keys of mappings, which it leaves open, are tried."""
    keys: Keys = ()
    place = _PLACE.search(message)
    for name, index in _STEP.findall(place[1]) if place else ():
        keys = (*keys, name or (int(index) if index.isdigit() else _at_fault(message, table, kind, keys)))
    return keys


def _at_fault(message: str, table: Mapping[str, Any], kind: type[Any], keys: Keys) -> str:
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
    """The names that the struct at `keys` knows."""
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
    """What holds others in a union; other types as they are."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    containers = (inspect.StructType, inspect.DictType, inspect.VarTupleType)
    return next((k for k in kinds if isinstance(k, containers)), kind)
