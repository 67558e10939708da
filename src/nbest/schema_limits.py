"""How large a client's JSON schema is once its references are followed: what may not be compiled is refused before it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast
from urllib.parse import unquote

import msgspec

from nbest.errors import InputError

MAX_BYTES: Final = 1 << 17
MAX_DEPTH: Final = 64
MAX_PARTS: Final = 5000
"""Keywords and values within the schema, each counted as often as references lead to it."""
MAX_PATTERNS: Final = 100
MAX_PATTERN_CHARS: Final = 500
_MAX_SHOWN: Final = 100

_MAPS: Final = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
"""Keywords whose values are schemas by name."""
_DEFINITIONS: Final = frozenset({"$defs", "definitions"})
"""Compiled only where a reference leads to them."""
_VALUES: Final = frozenset({"enum", "const", "default", "examples"})
"""Keywords whose values are no schemas, whatever they look like."""
_REFERENCES: Final = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_ANCHORS: Final = ("$anchor", "$dynamicAnchor")
_COSTLY: Final = frozenset(
    {
        *("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems", "multipleOf"),
        *("contentEncoding", "contentMediaType", "$dynamicRef", "$recursiveRef"),
    }
)
"""Keywords whose time does not follow from the number of parts."""
_CHECKS_FORMATS: Final = ("draft-04", "draft-06", "draft-07")
"""Parts of `$schema` of the drafts in which `format` is checked."""


class SchemaSize(NamedTuple):
    """What compiling a schema and holding texts against it takes."""

    num_parts: int
    num_patterns: int = 0
    is_costly: bool = False
    """Whether the time it takes does not follow from the number of parts: recursion, patterns, formats."""


def schema_size(schema: Any) -> SchemaSize:
    """The size of a schema. Raises `InputError` for one above a limit, which its message names, or that refers elsewhere."""
    if len(msgspec.json.encode(schema)) > MAX_BYTES:
        raise InputError(f"it is larger than {MAX_BYTES} bytes")
    return _Walk(schema).size()


class _Walk:
    """Follows references as a compiler does, every time anew, and stops at the limits: its time is bounded by them."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._num_parts = 0
        self._num_patterns = 0
        self._is_costly = False
        self._id = ""
        self._node_by_anchor: dict[str, Any] | None = None
        self._checks_formats = False
        if isinstance(root, dict):
            fields = cast("dict[str, Any]", root)
            self._id = str(fields.get("$id", "")).rstrip("#")
            draft = str(fields.get("$schema", ""))
            self._checks_formats = any(name in draft for name in _CHECKS_FORMATS)

    def size(self) -> SchemaSize:
        self._schema(self._root, 0, ())
        return SchemaSize(self._num_parts, self._num_patterns, self._is_costly)

    def _schema(self, node: Any, depth: int, path: tuple[str, ...]) -> None:
        """`path`: the references that led here."""
        if not isinstance(node, Mapping):
            self._count(1, depth)
            return
        fields = cast("Mapping[str, Any]", node)
        self._count(1 + len(fields), depth)
        if not _COSTLY.isdisjoint(fields):
            self._is_costly = True
        for key, value in fields.items():
            if isinstance(value, str):
                self._text(key, value, depth, path)
            elif key in _DEFINITIONS:
                self._check_ids(value, depth)
            elif key in _VALUES:
                self._value(value, depth)
            elif key in _MAPS and isinstance(value, Mapping):
                self._named(key, cast("Mapping[str, Any]", value), depth, path)
            else:
                self._inner(value, depth, path)

    def _inner(self, value: Any, depth: int, path: tuple[str, ...]) -> None:
        """What a keyword holds that takes a schema or several."""
        if isinstance(value, Mapping):
            self._schema(value, depth + 1, path)
        elif isinstance(value, Sequence):
            for item in cast("Sequence[Any]", value):
                self._schema(item, depth + 1, path)

    def _named(self, key: str, schemas: Mapping[str, Any], depth: int, path: tuple[str, ...]) -> None:
        for name, schema in schemas.items():
            if key == "patternProperties":
                self._pattern(name)
            self._schema(schema, depth + 1, path)

    def _text(self, key: str, value: str, depth: int, path: tuple[str, ...]) -> None:
        if key in _REFERENCES:
            self._follow(value, depth, path)
        elif key == "pattern":
            self._pattern(value)
        elif key == "format" and self._checks_formats:
            self._is_costly = True
        elif key == "$id" and depth > 0 and not value.startswith("#"):
            raise InputError("$id stands inside of it: put what is named under $defs, and refer to #/$defs/…")

    def _pattern(self, pattern: str) -> None:
        self._num_patterns += 1
        if len(pattern) > MAX_PATTERN_CHARS:
            raise InputError(f"a pattern is longer than {MAX_PATTERN_CHARS} characters")
        if self._num_patterns > MAX_PATTERNS:
            raise InputError(f"it has more than {MAX_PATTERNS} patterns, references followed")

    def _follow(self, reference: str, depth: int, path: tuple[str, ...]) -> None:
        if reference in path:
            self._is_costly = True
            return
        self._schema(self._target(reference), depth + 1, (*path, reference))

    def _target(self, reference: str) -> Any:
        base, _, fragment = reference.partition("#")
        if base not in {"", self._id}:
            shown = reference[:_MAX_SHOWN]
            raise InputError(f"$ref {shown} points outside the schema: put what it names under $defs")
        if fragment and not fragment.startswith("/"):
            if self._node_by_anchor is None:
                self._node_by_anchor = dict(_anchors(self._root))
            target = self._node_by_anchor.get(fragment)
        else:
            target = _pointed(self._root, unquote(fragment))
        if target is None:
            raise InputError(f"$ref {reference[:_MAX_SHOWN]} points to nothing")
        return target

    def _value(self, value: Any, depth: int) -> None:
        """Counts what is in an `enum` and the like."""
        self._count(1, depth)
        inner: Sequence[Any] = ()
        if isinstance(value, Mapping):
            inner = [*cast("Mapping[str, Any]", value).values()]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            inner = cast("Sequence[Any]", value)
        for item in inner:
            self._value(item, depth + 1)

    def _check_ids(self, value: Any, depth: int) -> None:
        """Definitions that nothing refers to: they are not compiled, but may say `$id`, which moves what # means."""
        self._count(1, depth)
        inner: Sequence[Any] = ()
        if isinstance(value, Mapping):
            fields = cast("Mapping[str, Any]", value)
            inner = [*fields.values()]
            own_id = fields.get("$id")
            if isinstance(own_id, str):
                self._text("$id", own_id, depth + 1, ())
        elif isinstance(value, Sequence) and not isinstance(value, str):
            inner = cast("Sequence[Any]", value)
        for item in inner:
            if isinstance(item, (Mapping, list)):
                self._check_ids(item, depth + 1)

    def _count(self, num: int, depth: int) -> None:
        self._num_parts += num
        if depth > MAX_DEPTH:
            raise InputError(f"it is deeper than {MAX_DEPTH} levels, references followed")
        if self._num_parts > MAX_PARTS:
            raise InputError(f"it has more than {MAX_PARTS} keywords and values, references followed")


def _pointed(root: Any, pointer: str) -> Any:
    """What a JSON pointer points to; None for nothing."""
    node = root
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping):
            node = cast("Mapping[str, Any]", node).get(name)
        elif isinstance(node, Sequence) and name.isdecimal() and int(name) < len(cast("Sequence[Any]", node)):
            node = cast("Sequence[Any]", node)[int(name)]
        else:
            return None
    return node


def _anchors(node: Any) -> Iterator[tuple[str, Any]]:
    """Names within the schema, and what they name."""
    inner: Sequence[Any] = ()
    if isinstance(node, Mapping):
        fields = cast("Mapping[str, Any]", node)
        inner = [*fields.values()]
        for key in _ANCHORS:
            if isinstance(fields.get(key), str):
                yield fields[key], fields
        own_id = fields.get("$id")
        if isinstance(own_id, str) and own_id.startswith("#"):
            yield own_id[1:], fields
    elif isinstance(node, list):
        inner = cast("list[Any]", node)
    for item in inner:
        yield from _anchors(item)
