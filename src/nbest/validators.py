"""JSON texts held against clients' schemas, in this process where that is quick, else in one that can be killed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from nbest.errors import EngineError, InputError
from nbest.offload import offload, spaced
from nbest.schema_limits import MAX_PARTS, SchemaSize, schema_size
from nbest.types import Json

V = TypeVar("V")

MAX_PROBLEM: Final = 200
"""Characters of a message that may quote an answer."""
_QUICK_PARTS: Final = 600
_QUICK_WORK: Final = 400_000
"""Parts of the schema times bytes of the text."""
_CHECK_S: Final = 5.0
"""For all texts of one call, in another process."""
_BYTES_PER_PART: Final = 1500
_BYTES_PER_PATTERN: Final = 1 << 20
_PATTERN_BYTES: Final = 1 << 18
"""Of a compiled pattern; twice as many bytes for what matching it keeps."""
_BACKTRACKS: Final = 10_000
"""Steps of a pattern with look-around or back-references, which no linear time suffices for. Others are linear."""
_CACHE_BYTES: Final = 32 << 20


class Schema(NamedTuple):
    """A schema that is within the limits."""

    raw: bytes
    """JSON."""
    size: SchemaSize
    field: str
    """The field of the request that it stands in, for messages."""

    @property
    def is_quick(self) -> bool:
        """Whether compiling it takes less than 5 ms."""
        return self.size.num_parts <= _QUICK_PARTS and not self.size.is_costly


class ByteCache(Generic[V]):
    """Keeps what was used last, up to a number of bytes that the caller estimates."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._entries: OrderedDict[bytes, tuple[V, int]] = OrderedDict()

    @property
    def num_bytes(self) -> int:
        """The sum of what is kept."""
        return self._num_bytes

    def get(self, key: bytes) -> V | None:
        """The value of `key`; None where it is not kept."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: bytes, value: V, num_bytes: int) -> None:
        """Keeps `value` for a new `key`, unless it is larger than all that may be kept."""
        total = num_bytes + len(key)
        if total > self._max_bytes or key in self._entries:
            return
        self._entries[key] = value, total
        self._num_bytes += total
        while self._num_bytes > self._max_bytes:
            _, (_, num_freed) = self._entries.popitem(last=False)
            self._num_bytes -= num_freed


_sizes: Final = ByteCache[SchemaSize](_CACHE_BYTES)
_validators: Final = ByteCache[Any](_CACHE_BYTES)


def sized(schema: Json, field: str) -> Schema:
    """The schema with its size. Raises `InputError`, which begins with `field`, for one above a limit of `schema_limits`."""
    raw = msgspec.json.encode(schema)
    size = _sizes.get(raw)
    if size is None:
        try:
            size = schema_size(schema)
        except InputError as e:
            raise InputError(f"{field} holds no usable JSON schema: {e}") from None
        _sizes.put(raw, size, 256)
    return Schema(raw, size, field)


async def check_schemas(schemas: Sequence[Schema]) -> None:
    """Compiles each. Raises `InputError` for one that is no schema, cannot be compiled in time, or for all together being too large."""
    num_parts = sum(schema.size.num_parts for schema in schemas)
    if num_parts > MAX_PARTS:
        raise InputError(
            f"{schemas[-1].field}: all schemas of the request together have more than {MAX_PARTS} keywords and"
            " values, references followed"
        )
    async for schema in spaced(schemas):
        if schema.is_quick:
            _validator(schema)

    costly = [schema for schema in schemas if not schema.is_quick]
    if not costly:
        return
    try:
        await offload(compile_all, costly, seconds=_CHECK_S)
    except EngineError as e:
        raise InputError(f"{costly[0].field} holds no usable JSON schema: {e}") from None


async def problems(pairs: Sequence[tuple[Schema, str]], *, seconds: float | None) -> list[str | None]:
    """For each text why it is not JSON of its schema; None where it is.

    A text that was not checked within `seconds`, or within the limits of such work, is taken not to fit. Raises
    `InputError` for a schema that cannot be compiled.
    """
    found: list[str | None] = [None] * len(pairs)
    others: list[int] = []
    async for i in spaced(range(len(pairs))):
        schema, text = pairs[i]
        if schema.is_quick and schema.size.num_parts * len(text) <= _QUICK_WORK:
            found[i] = problem(schema, text)
        else:
            others.append(i)
    if not others:
        return found

    limit_s = _CHECK_S if seconds is None else min(seconds, _CHECK_S)
    try:
        told = await offload(problems_of, [pairs[i] for i in others], seconds=limit_s)
    except EngineError as e:
        told = [f"it could not be checked: {e}"] * len(others)
    for i, why in zip(others, told, strict=True):
        found[i] = why
    return found


def compile_all(schemas: Sequence[Schema]) -> None:
    """Raises `InputError` for one that cannot be compiled."""
    for schema in schemas:
        _validator(schema)


def problems_of(pairs: Sequence[tuple[Schema, str]]) -> list[str | None]:
    """`problem` of each pair."""
    return [problem(schema, text) for schema, text in pairs]


def problem(schema: Schema, text: str) -> str | None:
    """Why `text` is not JSON of the schema; None where it is."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        return f"it is no JSON ({e})"
    validator = _validator(schema)
    if validator.is_valid(value):  # quicker than looking for errors, where there are none
        return None
    error = next(iter(validator.iter_errors(value)), None)
    return None if error is None else error.message[:MAX_PROBLEM]


def _validator(schema: Schema) -> Any:
    """One that loads nothing from outside the schema. Raises `InputError`, which begins with the schema's field."""
    validator = _validators.get(schema.raw)
    if validator is None:
        validator = _compiled(schema)
        size = schema.size
        num_bytes = size.num_parts * _BYTES_PER_PART + size.num_patterns * _BYTES_PER_PATTERN
        _validators.put(schema.raw, validator, num_bytes)
    return validator


def _compiled(schema: Schema) -> Any:
    import jsonschema_rs  # noqa: PLC0415 (most prompts need none)

    patterns = jsonschema_rs.FancyRegexOptions(
        backtrack_limit=_BACKTRACKS, size_limit=_PATTERN_BYTES, dfa_size_limit=2 * _PATTERN_BYTES
    )
    try:
        return jsonschema_rs.validator_for(
            msgspec.json.decode(schema.raw), retriever=_refuse, pattern_options=patterns
        )
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as e:
        why = str(e).splitlines()[0][:MAX_PROBLEM]
        raise InputError(f"{schema.field} holds no usable JSON schema: {why}") from None


def _refuse(uri: str) -> Json:
    raise ValueError(f"$ref {uri} points outside the schema: put what it names under $defs")
